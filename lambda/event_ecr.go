package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

// resultSuccess is how ECR's events say that something happened; any other word,
// FAILED for one, that it did not.
const resultSuccess = "SUCCESS"

// imageAction reads "ECR Image Action": which images or tags a repository has changed.
func imageAction(detail json.RawMessage, at time.Time) ([]refresh.Event, error) {
	var d struct {
		Result     string `json:"result"`
		Repository string `json:"repository-name"`
		Action     string `json:"action-type"`
	}
	if err := json.Unmarshal(detail, &d); err != nil {
		return nil, err
	}
	switch d.Action {
	case "PUSH", "DELETE", "UPDATE_STORAGE_CLASS":
	case "":
		return nil, errMissing("action-type")
	default:
		// An action that is not known yet need not change what is listed, and can
		// be frequent.
		return nil, nil
	}
	return imagesChanged("result", d.Result, d.Repository, at)
}

// replication reads "ECR Replication Action", which is sent where an image goes to.
func replication(detail json.RawMessage, at time.Time) ([]refresh.Event, error) {
	var d struct {
		Result     string `json:"result"`
		Repository string `json:"repository-name"`
	}
	if err := json.Unmarshal(detail, &d); err != nil {
		return nil, err
	}
	return imagesChanged("result", d.Result, d.Repository, at)
}

// pullThroughCache reads "ECR Pull Through Cache Action": an image was fetched, or
// fetched anew, from an upstream registry. repository-name has the rule's prefix.
func pullThroughCache(detail json.RawMessage, at time.Time) ([]refresh.Event, error) {
	var d struct {
		Status     string `json:"sync-status"`
		Repository string `json:"repository-name"`
	}
	if err := json.Unmarshal(detail, &d); err != nil {
		return nil, err
	}
	return imagesChanged("sync-status", d.Status, d.Repository, at)
}

// imagesChanged is the notice that a repository's images are others now, if the
// field with the result says so.
func imagesChanged(field, result, repository string, at time.Time) ([]refresh.Event, error) {
	switch result {
	case resultSuccess:
	case "":
		return nil, errMissing(field)
	default:
		return nil, nil
	}
	name, err := repositoryName(repository)
	if err != nil {
		return nil, err
	}
	return []refresh.Event{{Repository: name, At: at, Images: true}}, nil
}

// scanResourceChange reads "ECR Scan Resource Change": repositories of an enhanced
// registry are scanned more or less often than before, or for the first time. That
// an image came or went is told by it too, and by "ECR Image Action": the latter is
// enough.
func scanResourceChange(detail json.RawMessage, at time.Time) ([]refresh.Event, error) {
	var d struct {
		ResourceType string `json:"resource-type"`
		Repositories []struct {
			Name string `json:"repository-name"`
		} `json:"repositories"`
	}
	if err := json.Unmarshal(detail, &d); err != nil {
		return nil, err
	}
	switch {
	case d.ResourceType == "":
		return nil, errMissing("resource-type")
	case d.ResourceType != "REPOSITORY":
		return nil, nil
	case len(d.Repositories) == 0:
		return nil, errMissing("repositories")
	}
	notices := make([]refresh.Event, 0, len(d.Repositories))
	for _, repository := range d.Repositories {
		name, err := repositoryName(repository.Name)
		if err != nil {
			return nil, err
		}
		notices = append(notices, refresh.Event{Repository: name, At: at, Settings: true, Scans: true})
	}
	return notices, nil
}

// The names that ECR takes, by RepositoryName of its service model. Asking for
// another is refused each time, and a message that fails each time would hold up
// all that come after it.
var repositoryPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

const (
	repositoryMinLength = 2
	repositoryMaxLength = 256
)

// repositoryName reads a repository's name, which Inspector writes as an ARN:
// arn:aws:ecr:REGION:ACCOUNT:repository/NAME.
func repositoryName(s string) (string, error) {
	if s == "" {
		return "", errMissing("repository-name")
	}
	name := s
	if parts := strings.SplitN(s, ":", 6); len(parts) == 6 && parts[0] == "arn" && parts[2] == "ecr" {
		name = strings.TrimPrefix(parts[5], "repository/")
	}
	if len(name) < repositoryMinLength || len(name) > repositoryMaxLength || !repositoryPattern.MatchString(name) {
		return "", fmt.Errorf("repository-name %.300q: want a name, or the ARN of a repository", s)
	}
	return name, nil
}
