package inventory

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/fxamacker/cbor/v2"
)

// Bounds of the stored form, so that one made to fill the memory is refused in time.
const (
	// maxItem is the size of one item in bytes, unpacked. The largest is a registry of
	// 100,000 repositories that were all deleted at once, or an image with 10,000 tags.
	maxItem = 32 << 20
	// maxElements is the number of elements of one list.
	maxElements = 1 << 20
	// itemMemory is what an item takes in memory at least, in bytes, besides its texts.
	itemMemory = 100
	// maxUnpacked bounds the memory of all items in bytes if the process has no limit of its
	// own. A million images with scans take about 320 MB.
	maxUnpacked = 2 << 30
)

// decoding reads what older programs and this one wrote, whatever the records contain: the
// library's own limits are below what a registry can have, and text that is not valid UTF-8
// is text.
var decoding = func() cbor.DecMode {
	mode, err := cbor.DecOptions{MaxArrayElements: maxElements, MaxMapPairs: maxElements, UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// itemReader reads items within the bounds.
type itemReader struct {
	*cbor.Decoder
	unpacked *unpackedReader
}

// memoryLimit is the garbage collector's limit in bytes, if it has one.
func memoryLimit() int64 {
	if limit := debug.SetMemoryLimit(-1); limit < 1<<50 {
		return limit
	}
	return maxUnpacked
}

// newItemReader returns a reader of items that take so much memory in bytes at most.
func newItemReader(unpacked io.Reader, limit int64) *itemReader {
	r := &unpackedReader{r: unpacked, limit: limit, left: limit}
	return &itemReader{decoding.NewDecoder(r), r}
}

// Decode reads the next item.
func (d *itemReader) Decode(item any) error {
	d.unpacked.left -= itemMemory
	d.unpacked.item = maxItem
	err := d.Decoder.Decode(item)
	if err != nil && d.unpacked.err != nil {
		return d.unpacked.err
	}
	return err
}

// unpackedReader bounds what is read. The decoder reads ahead, but no more than it has read
// before.
type unpackedReader struct {
	r           io.Reader
	limit, left int64 // of all items
	item        int64 // of this one
	err         error
}

func (u *unpackedReader) Read(p []byte) (int, error) {
	most := min(u.left, u.item)
	switch {
	case u.left <= 0:
		u.err = fmt.Errorf("it needs more than %d MB of memory", u.limit>>20)
	case most <= 0:
		u.err = fmt.Errorf("an item is larger than %d MiB", maxItem>>20)
	}
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.r.Read(p[:min(int64(len(p)), most)])
	u.left -= int64(n)
	u.item -= int64(n)
	return n, err
}

// errItemTooLarge means that an item could not be read again.
var errItemTooLarge = errors.New("an item is too large")

// itemWriter counts what is written of an item.
type itemWriter struct {
	w io.Writer
	n int
}

func (i *itemWriter) Write(p []byte) (int, error) {
	if i.n += len(p); i.n > maxItem {
		return 0, fmt.Errorf("%w: more than %d MiB", errItemTooLarge, maxItem>>20)
	}
	return i.w.Write(p)
}
