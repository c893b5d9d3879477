package config

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is written "90s", "30m", "30d", "1d12h", or a plain number of seconds.
type Duration time.Duration

// maxDays is beyond all settings, and far from an overflow.
const maxDays = 36500

// UnmarshalText reads any of the forms.
func (d *Duration) UnmarshalText(text []byte) error {
	days, rest, hasDays := strings.Cut(string(text), "d") // a unit that Go's durations lack
	n, err := strconv.ParseFloat(days, 64)
	switch {
	case hasDays && (err != nil || !(n >= 0 && n <= maxDays) || strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+")):
		return errRule
	case hasDays:
		rest = cmp.Or(rest, "0s")
	case err == nil:
		n, rest = 0, days+"s"
	default:
		n, rest = 0, days
	}
	parsed, err := time.ParseDuration(rest)
	if err != nil || parsed > maxDays*24*time.Hour {
		return errRule
	}
	*d = Duration(n*float64(24*time.Hour)) + Duration(parsed)
	return nil
}

// String prints the duration as Go does.
func (d Duration) String() string { return time.Duration(d).String() }

// Schedule is how often the function is invoked: "rate(2 minutes)", or a Duration.
type Schedule time.Duration

// rate matches EventBridge's rate expressions: 1 of a unit, or more of its plural.
//
// See https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html.
var rate = regexp.MustCompile(`^rate\((?:(1) (minute|hour|day)|([1-9]\d{0,4}) (minute|hour|day)s)\)$`)

// UnmarshalText reads either form.
func (s *Schedule) UnmarshalText(text []byte) error {
	match := rate.FindStringSubmatch(string(text))
	if match == nil {
		return (*Duration)(s).UnmarshalText(text)
	}
	n, err := strconv.Atoi(match[1] + match[3])
	if err != nil || match[3] == "1" {
		return errRule
	}
	unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[match[2]+match[4]]
	*s = Schedule(time.Duration(n) * unit)
	return nil
}

// Interval is the time between two invocations.
func (s Schedule) Interval() time.Duration { return time.Duration(s) }

// String prints the interval as Go does.
func (s Schedule) String() string { return s.Interval().String() }
