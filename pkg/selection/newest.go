package selection

import (
	"container/heap"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// newest keeps the most recently pushed images of a repository, up to a limit. It holds
// no more than these: a repository may have 100,000 images.
type newest struct {
	images []inventory.Image
	limit  int
	kept   []int // once full a heap, whose first is the next to be dropped
}

// reset begins with another repository.
func (n *newest) reset(images []inventory.Image) { n.images, n.kept = images, n.kept[:0] }

// add takes an image by its index, and returns the index of the one that it displaces,
// which may be itself; -1 if there is none.
func (n *newest) add(i int) (dropped int) {
	if len(n.kept) < n.limit {
		if n.kept = append(n.kept, i); len(n.kept) == n.limit {
			heap.Init(n)
		}
		return -1
	}
	if n.before(i, n.kept[0]) {
		return i
	}
	dropped, n.kept[0] = n.kept[0], i
	heap.Fix(n, 0)
	return dropped
}

// before reports whether image i is dropped before image j: the one pushed earlier, one
// with an unknown time first. Of two pushed at once the greater digest is dropped, so that
// it is the same one in each run.
func (n *newest) before(i, j int) bool {
	a, b := &n.images[i], &n.images[j]
	if a.PushedAt != b.PushedAt {
		return a.PushedAt < b.PushedAt
	}
	return a.Digest.Compare(b.Digest) > 0
}

// heap.Interface; Push and Pop are not used, since the number of images stays.

func (n *newest) Len() int           { return len(n.kept) }
func (n *newest) Less(i, j int) bool { return n.before(n.kept[i], n.kept[j]) }
func (n *newest) Swap(i, j int)      { n.kept[i], n.kept[j] = n.kept[j], n.kept[i] }
func (n *newest) Push(any)           {}
func (n *newest) Pop() any           { return nil }
