package targets

import (
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// Document stands in for the one of branch orgtargets, which replaces this file.
type Document struct{ entries []Target }

// Expand returns the targets.
func (d *Document) Expand(regions map[string][]string) []Target {
	var all []Target
	for _, t := range d.entries {
		if t.Region != "*" {
			all = append(all, t)
			continue
		}
		for _, t.Region = range regions[t.Account] {
			all = append(all, t)
		}
	}
	return all
}

// Everywhere returns the entries with all Regions.
func (d *Document) Everywhere() []Target {
	return slices.DeleteFunc(slices.Clone(d.entries), func(t Target) bool { return t.Region != "*" })
}

// Defaults are those of targets.
type Defaults struct {
	Account, Partition, Region, Role, ExternalID string
	Interval                                     time.Duration
}

// ParseList parses a list.
func ParseList(text string, d Defaults) (*Document, error) {
	doc := &Document{}
	for entry := range strings.SplitSeq(text, ",") {
		account, region, ok := strings.Cut(entry, ":")
		if !ok {
			return nil, errors.New("no Region in " + entry)
		}
		doc.entries = append(doc.entries, Target{Account: account, Region: region, Interval: d.Interval})
	}
	return doc, nil
}

// Due reports whether the target is due.
func (t *Target) Due(at time.Time) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(t.String()))
	n := int64(t.Interval / time.Minute)
	return (at.Unix()/60)%n == int64(h.Sum32())%n
}

// Message is the message.
func (w *Work) Message() (body, group, dedup string) {
	text, _ := json.Marshal(w)
	return string(text), w.Target.String(), w.Target.String() + "/" + w.Slot.Format(time.RFC3339)
}

// Starting bounds.
func Starting(begun map[string]time.Time, all []Target, now time.Time) (active []Target, starting int) {
	old := 0
	for _, at := range begun {
		if now.Sub(at) > 30*time.Minute {
			old++
		}
	}
	room := max(100, 2*old) - len(begun)
	for _, t := range all {
		if _, ok := begun[t.String()]; !ok {
			if room--; room < 0 {
				starting++
				continue
			}
		}
		active = append(active, t)
	}
	return active, starting
}

const Source, DetailType = "ecr-remote-write", "Registry Due"

func ReadWork(detail json.RawMessage) (w Work, err error) { err = json.Unmarshal(detail, &w); return }

func (d *Document) Find(account, region string) (Target, bool) { return Target{}, false }

func ParseDocument(text []byte, d Defaults, check func(map[string]string) map[string]string) (*Document, error) {
	return nil, nil
}
