package main

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A service refuses each batch with an invalid row, which one row in a hundred is. Batches become smaller, so that few
// rows are sent twice, and larger when the service refuses none. Each row is written once or rejected.
func TestBatchesAdaptToInvalidRows(t *testing.T) {
	const rows, perCall, invalidName = 25_000, 500, "Nowhere"
	service := odatatest.New(odatatest.Options{})
	run := open(t, service, products("sap.odata.max.in.flight=8")...)
	setSwitches(t, service, "refuse="+invalidName, "refuse-batch=true")
	random := rand.New(rand.NewPCG(1, 2))
	invalid := 0
	operations := 0 // after the first 1,000 rows
	var largest int // operations of the last batches
	for first := 0; first < rows+20*perCall; first += perCall {
		host := run.host("ProductCopies")
		isInvalid := make([]bool, perCall)
		for i := range isInvalid {
			name := "good"
			if isInvalid[i] = first < rows && random.IntN(100) == 0; isInvalid[i] {
				name = invalidName
				invalid++
			}
			host.addProducts(first+i, 1, name)
		}
		host.run()
		require.NoError(t, host.taskError)
		for i, outcome := range host.outcomes {
			if want := map[bool]string{true: "data", false: outcomeWritten}[isInvalid[i]]; outcome != want {
				t.Fatalf("row %d: expected %s, found %s (%v)", first+i, want, outcome, host.reasons[i])
			}
		}
		largest = 0
		for i := range host.requests {
			size := max(strings.Count(string(host.requests[i].Body), "application/http"), 1)
			largest = max(largest, size)
			if first >= 1000 && first < rows {
				operations += size
			}
		}
	}
	ratio := float64(operations) / (rows - 1000)
	assert.True(t, ratio <= 1.6, "expected at most 1.6 operations a row, found %.2f", ratio)
	assert.AtLeast(t, perCall/8, largest, "batches of all rows of an ordering key in the end: operations")
	expectEqual(t, "entities", rows+20*perCall-invalid, service.Count("ProductCopies"))
	for entity, writes := range service.Ledger().Writes {
		expectEqual(t, entity, odatatest.Write{Created: 1}, writes)
	}
}
