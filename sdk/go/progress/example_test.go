package progress_test

import (
	"fmt"

	"github.com/culvert-project/culvert/sdk/go/progress"
	"github.com/culvert-project/culvert/wit"
)

// loads reads the progress from the offsets that it stores: the number of rows, and at the end what proves that no row
// is missing.
type loads struct{}

func (loads) Progress(_ []byte, _ uint32, offset []wit.OffsetEntry) *wit.LoadProgress {
	rows, ok := wit.Lookup(offset, "rows")
	if !ok || rows.Integer == nil {
		return nil
	}
	proof, _ := wit.Lookup(offset, "complete")
	return &wit.LoadProgress{Read: uint64(*rows.Integer), Complete: proof.String}
}

// Keys has no load whose rows must be read a second time.
func (loads) Keys([]byte, uint32, []wit.OffsetEntry) wit.KeysUse {
	return wit.KeysUse{Ignored: wit.Set}
}

func (loads) Compared([]byte, uint32, []wit.OffsetEntry, [][]byte) *[]wit.OffsetEntry { return nil }

// A source registers its progress in an init function, in addition to itself.
func ExampleRegister() {
	progress.Register(loads{})

	offset := []wit.OffsetEntry{wit.IntegerEntry("rows", 7), wit.StringEntry("complete", "count")}
	end := loads{}.Progress(nil, 0, offset)
	fmt.Println(end.Read, *end.Complete)
	// Output: 7 count
}
