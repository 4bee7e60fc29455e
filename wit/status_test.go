package wit_test

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/wit"
)

// Only statuses that a document defines as a rejection prove that a request was not processed.
func TestIsRejection(t *testing.T) {
	mayBeProcessed := map[uint16]bool{402: true, 406: true, 408: true, 416: true, 417: true, 418: true, 419: true,
		420: true, 427: true, 430: true}
	for status := uint16(0); status < 1000; status++ {
		isMoved := status == 301 || status == 302 || status == 307 || status == 308
		want := isMoved || (status >= 400 && status <= 431 && !mayBeProcessed[status])
		found := wit.IsRejection(status)
		assert.True(t, found == want, "%d: expected %t, found %t", status, want, found)
	}
}

// TestKindOf: the status alone decides whether a request may be repeated, and whether a user or a resource is rejected.
func TestKindOf(t *testing.T) {
	for status, want := range map[uint16]wit.ErrorKind{
		400: wit.ErrorData,
		401: wit.ErrorUnauthorized,
		403: wit.ErrorForbidden,
		404: wit.ErrorNotFound,
		408: wit.ErrorTransient,
		410: wit.ErrorGone,
		422: wit.ErrorData,
		429: wit.ErrorTransient,
		500: wit.ErrorTransient,
		503: wit.ErrorTransient,
	} {
		found := wit.ErrorKindOf(status)
		assert.True(t, found == want, "%d: expected %v, found %v", status, want, found)
	}
}
