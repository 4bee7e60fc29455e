package plugin

import (
	"bytes"
	"io"
	"math/rand"
	"testing"
)

// A guest that asks for a hundred megabytes of randomness, or writes in millions of parts, comes by the clock in
// between; the numbers are those that the engine would give.
func TestLongAnswersOfTheSystemComeByTheClock(t *testing.T) {
	looks := 0
	r := &randomness{rand.New(rand.NewSource(randomSeed)), func() { looks++ }}
	got, want := make([]byte, 1<<20+7), make([]byte, 1<<20+7)
	_, _ = rand.New(rand.NewSource(42)).Read(want)
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) || looks != 17 {
		t.Errorf("expected the same numbers and 17 looks at the clock, found %d, %v", looks, err)
	}
	o := &output{watch: func() { looks++ }}
	for range 10 {
		_, _ = o.Write(nil)
	}
	if looks != 27 {
		t.Errorf("expected a look at each write, found %d", looks-17)
	}
}
