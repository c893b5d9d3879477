package ecrtest

import (
	"fmt"
	"strings"
)

// apiError is an error of the API: a type, a message and an HTTP status, by default the
// protocol's for the type.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html
type apiError struct {
	status  int
	code    string
	message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func newError(code, format string, args ...any) *apiError {
	return &apiError{code: code, message: fmt.Sprintf(format, args...)}
}

// invalid is InvalidParameterException with the text of ECR.
func invalid(parameter, constraint string) *apiError {
	return newError("InvalidParameterException", "Invalid parameter at '%s' failed to satisfy constraint: '%s'", parameter, constraint)
}

func checkLength(parameter string, length, least, most int) error {
	switch {
	case length < least:
		return invalid(parameter, fmt.Sprintf("Member must have length greater than or equal to %d", least))
	case length > most:
		return invalid(parameter, fmt.Sprintf("Member must have length less than or equal to %d", most))
	}
	return nil
}

func checkWord(parameter, word string, set ...string) error {
	if word == "" {
		return nil
	}
	for _, w := range set {
		if word == w {
			return nil
		}
	}
	return invalid(parameter, "Member must satisfy enum value set: ["+strings.Join(set, ", ")+"]")
}

func checkRepositoryName(parameter, name string) error {
	if err := checkLength(parameter, len(name), minRepositoryName, maxRepositoryName); err != nil {
		return err
	}
	if !repositoryName.MatchString(name) {
		pattern := strings.TrimSuffix(strings.TrimPrefix(repositoryName.String(), "^"), "$")
		return invalid(parameter, "must satisfy regular expression '"+pattern+"'")
	}
	return nil
}

func repositoryNotFound(name, registryID string) *apiError {
	return newError("RepositoryNotFoundException",
		"The repository with name '%s' does not exist in the registry with id '%s'", name, registryID)
}

func imageNotFound(id *wireImageID, repository, registryID string) *apiError {
	return newError("ImageNotFoundException",
		"The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
		orNull(id.Digest), orNull(id.Tag), repository, registryID)
}

func accessDenied(user, action, resource, why string) *apiError {
	return newError("AccessDeniedException",
		"User: %s is not authorized to perform: %s on resource: %s %s", user, action, resource, why)
}
