package secret

// Pick returns the part of a stored text that a reference names.
func Pick(setting, stored string) (string, error) {
	text, err := Parse(setting)
	if err != nil {
		return "", err
	}
	return text.reference.pick(stored)
}
