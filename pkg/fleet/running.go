package fleet

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// Running knows which images run.
type Running interface {
	// Images calls saw with each name of an image that runs. It stops with an error if saw
	// returns false. Without an error these are all.
	Images(ctx context.Context, saw func(image string) bool) error
}

// snapshotKept is for how long after the next answer is due the last one is used.
const snapshotKept = 10 * time.Minute

// maxName bounds the line of a Snapshot, in bytes: names of images have less than 500.
const maxName = 4096

// ask has the store say what runs, once in the smallest interval of a registry, and keeps the
// answer for the workers. Without a whole answer the last one stays.
func (p *Planner) ask(ctx context.Context, all []targets.Target, slot time.Time) error {
	if p.Running == nil || len(all) == 0 {
		return nil
	}
	smallest := all[0].Interval
	for _, target := range all {
		smallest = min(smallest, target.Interval)
	}
	if minutes := int64(smallest / time.Minute); minutes > 1 && slot.Unix()/60%minutes != 0 {
		return nil
	}
	names := map[string]struct{}{}
	err := p.Running.Images(ctx, func(image string) bool {
		if len(image) <= maxName && !strings.Contains(image, "\n") {
			names[image] = struct{}{}
		}
		return len(names) <= inventory.MaxRunning
	})
	if err != nil {
		return err
	}
	var content bytes.Buffer
	out := gzip.NewWriter(&content)
	fmt.Fprintln(out, time.Now().Add(smallest+snapshotKept).UTC().Format(time.RFC3339))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintln(out, name)
	}
	if err := out.Close(); err != nil {
		return err
	}
	return p.Snapshot.Write(ctx, content.Bytes())
}

// Snapshot is what the planner was told last of what runs, for the workers: gzip, the time
// until which it counts, and then a name a line. It implements exporter.Running.
type Snapshot struct{ Object state.Object }

// Images is Running.Images. The error says if the snapshot is missing, damaged or too old.
func (s Snapshot) Images(ctx context.Context, saw func(image string) bool) error {
	content, err := s.Object.Read(ctx)
	if err == nil && content == nil {
		err = errors.New("the planner has not written it yet")
	}
	if err == nil {
		err = decodeSnapshot(bytes.NewReader(content), saw)
	}
	if err != nil {
		return fmt.Errorf("which images run, as the planner keeps it in %s: %w", s.Object, err)
	}
	return nil
}

func decodeSnapshot(content io.Reader, saw func(string) bool) error {
	in, err := gzip.NewReader(content)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxName+1)
	lines.Scan()
	until, err := time.Parse(time.RFC3339, lines.Text())
	switch {
	case lines.Err() != nil:
		return lines.Err()
	case err != nil:
		return err
	case time.Now().After(until):
		return fmt.Errorf("it counted until %s", lines.Text())
	}
	for n := 0; lines.Scan(); n++ {
		if n >= inventory.MaxRunning || !saw(lines.Text()) {
			return errors.New("it has too many names")
		}
	}
	return lines.Err()
}
