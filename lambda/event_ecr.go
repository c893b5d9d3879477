package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

// imageDetail has the fields of the events about a repository's images.
type imageDetail struct {
	Result     string `json:"result"`
	SyncStatus string `json:"sync-status"` // instead of Result in "ECR Pull Through Cache Action"
	Repository string `json:"repository-name"`
	Action     string `json:"action-type"`
}

// imageAction reads "ECR Image Action": images or tags of a repository changed.
func imageAction(d imageDetail, at time.Time) ([]refresh.Event, error) {
	switch d.Action {
	case "PUSH", "DELETE", "UPDATE_STORAGE_CLASS":
	case "":
		return nil, errMissing("action-type")
	default:
		// Unknown actions are ignored: they may be frequent and change nothing here.
		return nil, nil
	}
	return imagesChanged("result", d.Result, d.Repository, at)
}

// replication reads "ECR Replication Action", which is sent at the destination.
func replication(d imageDetail, at time.Time) ([]refresh.Event, error) {
	return imagesChanged("result", d.Result, d.Repository, at)
}

// pullThroughCache reads "ECR Pull Through Cache Action": an image was pulled, or pulled
// again, from an upstream registry. repository-name includes the rule's prefix.
func pullThroughCache(d imageDetail, at time.Time) ([]refresh.Event, error) {
	return imagesChanged("sync-status", d.SyncStatus, d.Repository, at)
}

// imagesChanged returns an event about a change of a repository's images, unless the result
// in the named field is a failure.
func imagesChanged(field, result, repository string, at time.Time) ([]refresh.Event, error) {
	switch result {
	case "SUCCESS":
	case "":
		return nil, errMissing(field)
	default:
		return nil, nil
	}
	event, err := eventAbout(repository, at)
	if err != nil {
		return nil, err
	}
	event.Images = true
	return []refresh.Event{event}, nil
}

// scanResourceDetail is the detail of "ECR Scan Resource Change".
type scanResourceDetail struct {
	ResourceType string `json:"resource-type"`
	Repositories []struct {
		Name string `json:"repository-name"`
	} `json:"repositories"`
}

// scanResourceChange reads "ECR Scan Resource Change": the scan frequency of repositories
// of an enhanced registry changed. It is also sent for each image pushed or deleted, for
// which "ECR Image Action" is enough.
func scanResourceChange(d scanResourceDetail, at time.Time) ([]refresh.Event, error) {
	switch {
	case d.ResourceType == "":
		return nil, errMissing("resource-type")
	case d.ResourceType != "REPOSITORY":
		return nil, nil
	case len(d.Repositories) == 0:
		return nil, errMissing("repositories")
	}
	events := make([]refresh.Event, 0, len(d.Repositories))
	for _, repository := range d.Repositories {
		event, err := eventAbout(repository.Name, at)
		if err != nil {
			return nil, err
		}
		event.Settings, event.Scans = true, true
		events = append(events, event)
	}
	return events, nil
}

// The names that ECR accepts (RepositoryName in its service model). A request with any other
// fails each time, and the message would block those after it.
var repositoryPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

const (
	repositoryMinLength = 2
	repositoryMaxLength = 256
)

// eventAbout returns an event about a repository that is given by its name, or by its ARN,
// which Inspector sends: arn:aws:ecr:REGION:ACCOUNT:repository/NAME.
func eventAbout(repository string, at time.Time) (refresh.Event, error) {
	if repository == "" {
		return refresh.Event{}, errMissing("repository-name")
	}
	event := refresh.Event{Repository: repository, At: at}
	if parts := strings.SplitN(repository, ":", 6); len(parts) == 6 && parts[0] == "arn" && parts[2] == "ecr" {
		event.Region, event.Account = parts[3], parts[4]
		event.Repository = strings.TrimPrefix(parts[5], "repository/")
	}
	if name := event.Repository; len(name) < repositoryMinLength || len(name) > repositoryMaxLength || !repositoryPattern.MatchString(name) {
		return refresh.Event{}, fmt.Errorf("repository-name %.300q: want a name, or the ARN of a repository", repository)
	}
	return event, nil
}
