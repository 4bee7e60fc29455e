package capabilities

// BatchLimit is the number of operations in the batches of a service that refuses batches as a whole because of single
// rows. Zero means no limit.
//
// Invariants: it is zero or at least minBatchLimit. It has changed at most once since a batch was encoded with it, by
// the first response to such a batch: the others in flight prove nothing about the new limit. A refusal divides it by
// more than an answer multiplies it by: with halves, every second batch would be refused, and its rows sent again.
type BatchLimit int

const minBatchLimit = 2 // a batch of one operation is a single request, and refused with the row

// Refused divides the limit by four after a batch that was encoded with the limit sentWith was refused as a whole. A batch that
// is much smaller than the limit is the rest of a call, and proves nothing about the limit.
func (b *BatchLimit) Refused(sentWith BatchLimit, operations int) {
	if *b == sentWith && 2*operations > int(*b) {
		*b = BatchLimit(max(operations/4, minBatchLimit))
	}
}

// Answered doubles the limit after the parts of a batch were answered, and removes it at maxOperations.
func (b *BatchLimit) Answered(sentWith BatchLimit, operations, maxOperations int) {
	if *b == 0 || *b != sentWith {
		return
	}
	*b = max(*b, BatchLimit(2*operations))
	if int(*b) >= maxOperations {
		*b = 0
	}
}
