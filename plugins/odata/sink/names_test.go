package sink

import (
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
)

// Every name that the original connector has is built under that name, an alias of ours, or refused by name.
func TestNamesOfTheOriginal(t *testing.T) {
	configtest.Names(t, sinkconfig.Table, "sink", "../../../testdata/overview-names.txt")
}
