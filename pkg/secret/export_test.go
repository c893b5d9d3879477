package secret

// Pick returns what a reference means of a text that is stored.
func Pick(reference, stored string) (string, error) {
	r, err := Parse(reference)
	if err != nil {
		return "", err
	}
	return r.pick(stored)
}
