package write

import (
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// The largest hint is one that the host takes, and a longer ETag is the row's fault.
func TestLargestHintFits(t *testing.T) {
	for _, size := range []int{maxTag, maxTag + 1} {
		h := hint{step: stepConfirm}
		for _, word := range hintWords {
			if word.flag != nil {
				*word.flag(&h) = true
			} else {
				*word.number(&h) = math.MaxInt
			}
		}
		answer := &wit.Response{Status: http.StatusOK,
			Headers: []wit.Header{{Name: "ETag", Value: strings.Repeat("x", size)}}}
		verdict, err := (&state{}).settleTag(&target{to: &entitySet{}, hint: h}, answer)
		switch {
		case err != nil:
			t.Fatal(err)
		case size > maxTag:
			if verdict.Rejected == nil || !strings.Contains(verdict.Rejected.Message, "ETag of at most 8192 bytes") {
				t.Errorf("expected a refusal, found %+v", verdict)
			}
		case verdict.Retry == nil || len(verdict.Retry.Hint) < size || len(verdict.Retry.Hint) > plugin.MaxHintBytes:
			t.Errorf("expected a hint of at most %d bytes, found %+v", plugin.MaxHintBytes, verdict)
		}
	}
}
