package selection

import (
	"container/heap"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// newest keeps the images of a repository that were pushed last, a number of them. It
// holds no more than these at any time: a repository may have 100,000 images.
type newest struct {
	images []inventory.Image
	limit  int
	kept   []int // once full a heap, of which the first is the next to go
}

// reset begins with another repository.
func (n *newest) reset(images []inventory.Image) { n.images, n.kept = images, n.kept[:0] }

// add takes an image by its place, and returns the place of the one that is not among
// the newest for that; -1 if there is none.
func (n *newest) add(i int) (out int) {
	if len(n.kept) < n.limit {
		if n.kept = append(n.kept, i); len(n.kept) == n.limit {
			heap.Init(n)
		}
		return -1
	}
	if n.before(i, n.kept[0]) {
		return i
	}
	out, n.kept[0] = n.kept[0], i
	heap.Fix(n, 0)
	return out
}

// before reports whether an image goes before another one does: the one pushed earlier,
// first of all one of which that is not known. Of two pushed at once the greater digest
// goes, so that it is the same one in each run.
func (n *newest) before(i, j int) bool {
	a, b := &n.images[i], &n.images[j]
	if a.PushedAt != b.PushedAt {
		return a.PushedAt < b.PushedAt
	}
	return a.Digest.Compare(b.Digest) > 0
}

// heap.Interface, whose Push and Pop are not used: the number of images stays.

func (n *newest) Len() int           { return len(n.kept) }
func (n *newest) Less(i, j int) bool { return n.before(n.kept[i], n.kept[j]) }
func (n *newest) Swap(i, j int)      { n.kept[i], n.kept[j] = n.kept[j], n.kept[i] }
func (n *newest) Push(any)           {}
func (n *newest) Pop() any           { return nil }
