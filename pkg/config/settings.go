package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// Settings is the type of the variable SETTINGS. It holds nothing: Load reads the pairs
// before all other settings, as if each were a variable.
type Settings struct{}

// UnmarshalText accepts any text.
func (*Settings) UnmarshalText([]byte) error { return nil }

// addSettings adds the pairs of SETTINGS to the variables; a variable that is set keeps
// its value, which is a warning if the two differ. Faults show no value, and no name after
// that of a secret, whose rest it can be.
func addSettings(vars map[string]string, faults *Faults) (warnings []string) {
	fault := func(format string, args ...any) {
		*faults = append(*faults, Fault{Variable: "SETTINGS", Rule: fmt.Sprintf(format, args...)})
	}
	isSecret := map[string]bool{}
	for field := range reflect.TypeFor[Config]().Fields() {
		isSecret[field.Tag.Get("env")] = field.Tag.Get("secret") != ""
	}
	delete(isSecret, "SETTINGS")
	given, set := map[string]bool{}, map[string]string{}
	number, refused := 0, false
	for pair := range strings.FieldsFuncSeq(vars["SETTINGS"], func(r rune) bool { return r == ';' || r == '\n' }) {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		number++
		name, value, isPair := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		secret, known := isSecret[name]
		switch {
		case !known && (!isPair || refused || !settingName.MatchString(name)):
			fault("pair %d is not NAME=value, with the name of a setting; a value cannot contain a semicolon or a new line", number)
		case !isPair:
			fault("%s has no value", name)
		case !known:
			fault("%s is not a setting", name)
		case secret:
			refused = true
			fault("%s can be secret and is refused here: set its own variable (in the template its own parameter)", name)
		case given[name]:
			fault("%s is given twice", name)
		case vars[name] != "" && vars[name] != value:
			warnings = append(warnings, "SETTINGS: "+name+" has no effect, because the variable "+name+" is set")
		default:
			set[name] = value
		}
		given[name] = true
	}
	for name, value := range set {
		if value != "" {
			vars[name] = value
		}
	}
	return warnings
}

var settingName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
