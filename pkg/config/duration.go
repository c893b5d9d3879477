package config

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is written "90s", "30m", "30d", "1d12h", or a plain number of
// seconds.
type Duration time.Duration

// days is the leading number of days, a unit that Go's durations lack.
var days = regexp.MustCompile(`^(\d+(?:\.\d+)?)d`)

// UnmarshalText reads any of the forms.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		s += "s"
	}
	var whole time.Duration
	if match := days.FindStringSubmatch(s); match != nil {
		n, err := strconv.ParseFloat(match[1], 64)
		// Half of the range, so that adding hours cannot overflow.
		if err != nil || n > float64(math.MaxInt64/2)/float64(24*time.Hour) {
			return errRule
		}
		whole = time.Duration(n * float64(24*time.Hour))
		if s = s[len(match[0]):]; s == "" {
			*d = Duration(whole)
			return nil
		}
		if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
			return errRule
		}
	}
	parsed, err := time.ParseDuration(s)
	if err != nil || parsed > math.MaxInt64/2 {
		return errRule
	}
	*d = Duration(whole + parsed)
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
