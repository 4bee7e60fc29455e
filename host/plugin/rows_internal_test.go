package plugin

import (
	"errors"
	"testing"

	"github.com/culvert-project/culvert/host/plugin/internal/abi"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// An input row's bytes may go out once for nothing, whatever their size; further rows with them count as the guest's
// own.
func TestRowsThatRepeatBytes(t *testing.T) {
	registry := record.NewRegistry()
	i := &Instance{schemas: known(t, registry)}
	i.scratch.topics = []uint32{0}
	check := rowCheck{i: i, b: &record.Batch{Registry: registry, Topics: []string{"t"}}, limit: 1000}
	in := []wit.Row{{Value: wit.Datum{Form: wit.Dynamic, Size: 5000}}, {Value: wit.Datum{Form: wit.Dynamic, Size: 400}}}
	again := wit.Row{Key: wit.Datum{Form: wit.Absent}, Value: wit.Datum{Form: wit.Unchanged},
		Headers: wit.Datum{Form: wit.Absent}}
	for n, of := range []int{0, 1, 1, 1, 1} {
		r := again
		err := check.row(n, &r, &in[of])
		var large *abi.TooLarge
		if n < 4 && err != nil || n == 4 && !errors.As(err, &large) {
			t.Errorf("row %d: found %v", n, err)
		}
	}
}
