package wit_test

import (
	"testing"

	"github.com/culvert-project/culvert/wit"
)

// Of all statuses, those of a client's fault that a document says by themselves refuse a request.
func TestRefuses(t *testing.T) {
	may := map[uint16]bool{402: true, 406: true, 408: true, 416: true, 417: true, 418: true, 419: true, 420: true,
		427: true, 430: true}
	for status := uint16(0); status < 1000; status++ {
		want := status >= 400 && status <= 431 && !may[status]
		if found := wit.Refuses(status); found != want {
			t.Errorf("%d: expected %t, found %t", status, want, found)
		}
	}
}

// TestKindOf: a status alone says whether a request may be sent again, and whether a user or a resource is refused.
func TestKindOf(t *testing.T) {
	for status, want := range map[uint16]wit.FaultKind{400: wit.FaultData, 401: wit.FaultUnauthorized,
		403: wit.FaultForbidden, 404: wit.FaultNotFound, 408: wit.FaultTransient, 410: wit.FaultGone,
		429: wit.FaultTransient, 500: wit.FaultTransient, 503: wit.FaultTransient, 422: wit.FaultData} {
		if found := wit.KindOf(status); found != want {
			t.Errorf("%d: expected %v, found %v", status, want, found)
		}
	}
}
