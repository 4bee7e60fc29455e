package responses

import (
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/wit"
)

// The host accepts the largest hint. A longer ETag rejects the row.
func TestLargestHintFits(t *testing.T) {
	for _, size := range []int{maxETag, maxETag + 1} {
		hint := requests.Hint{Step: requests.StepConfirm}
		fields := reflect.ValueOf(&hint).Elem()
		for i := range fields.NumField() {
			switch f := fields.Field(i); f.Kind() {
			case reflect.Bool:
				f.SetBool(true)
			case reflect.Int:
				f.SetInt(math.MaxInt)
			}
		}
		hint.Known = wit.Known(strings.Repeat("x", 100))
		answer := &wit.Response{Status: http.StatusOK,
			Headers: []wit.Header{{Name: "ETag", Value: strings.Repeat("x", size)}}}
		state := &capabilities.State{}
		state.SetCapabilities = make([]capabilities.EntitySet, 1)
		handler := responseHandler{state}
		result, err := handler.etagResult(&requests.Target{Set: &entityset.EntitySet{}, Hint: hint},
			odataerror.Read(answer))
		switch {
		case err != nil:
			t.Fatal(err)
		case size > maxETag:
			if result.Rejected == nil || !strings.Contains(result.Rejected.Message, "ETag of at most 8192 bytes") {
				t.Errorf("expected a rejection, found %+v", result)
			}
		case result.Retry == nil || len(result.Retry.Hint) < size || len(result.Retry.Hint) > plugin.MaxHintBytes:
			t.Errorf("expected a hint of at most %d bytes, found %+v", plugin.MaxHintBytes, result)
		}
	}
}
