package main

import (
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
	"github.com/culvert-project/culvert/plugins/odata/entry"
)

// Every name that the original connector has is built under that name, an alias of ours, or refused by name.
func TestNamesOfTheOriginal(t *testing.T) {
	configtest.Names(t, entry.Table, "source", "../../testdata/overview-names.txt")
}
