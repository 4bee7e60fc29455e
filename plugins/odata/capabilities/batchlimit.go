package capabilities

// BatchLimit is the number of operations in the batches of a service that refuses batches as a whole because of single
// rows. Zero means no limit.
//
// Invariants: it is zero or at least minBatchLimit. Of the batches that were encoded with one limit, only the first
// response changes it: the other batches in flight prove nothing about the new limit. A refusal divides it by four, an
// answer doubles it: with halves, every second batch would be refused, and its rows sent again.
type BatchLimit int

const minBatchLimit = 2 // a batch of one operation is a single request, and refused with the row

// Refused divides the limit by four after a batch that was encoded with the limit sentWith was refused as a whole. A
// batch of at most half the limit has the last rows of a call, and proves nothing about the limit.
func (b *BatchLimit) Refused(sentWith BatchLimit, operations int) {
	if *b == sentWith && 2*operations > int(*b) {
		*b = BatchLimit(max(operations/4, minBatchLimit))
	}
}

// Answered doubles the limit after a batch that was encoded with the limit sentWith was answered in parts, and removes
// it at maxOperations.
func (b *BatchLimit) Answered(sentWith BatchLimit, operations, maxOperations int) {
	if *b == 0 || *b != sentWith {
		return
	}
	*b = max(*b, BatchLimit(2*operations))
	if int(*b) >= maxOperations {
		*b = 0
	}
}
