package refresh

import (
	"context"
	"errors"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// listing is the reading of one repository's images, page by page. It may take
// more than one run.
type listing struct {
	repository string
	tried      inventory.Time // when the repository was last tried before

	begunAt inventory.Time // of the first page; what the listing is as true as
	images  []inventory.Image
	token   string // of the next page
	// advanced is set if this run brought a page.
	advanced bool
	err      error
}

// read goes on to the last page, or to an error.
func (l *listing) read(ctx context.Context, source Source, now time.Time) {
	for restarted := false; ; {
		if l.token == "" {
			l.begunAt, l.images = inventory.TimeOf(now), nil
		}
		images, next, err := source.Images(ctx, l.repository, l.token)
		if err != nil {
			if errors.Is(err, awsapi.ErrInvalidToken) && !restarted {
				l.token, restarted = "", true
				continue
			}
			l.err = err
			return
		}
		l.images = append(l.images, images...)
		l.advanced = true
		if l.token = next; next == "" {
			return
		}
	}
}
