package sink

import (
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
)

// Every setting of the original connector is supported, an alias, or rejected by name.
func TestNamesOfTheOriginal(t *testing.T) {
	configtest.Names(t, sinkconfig.Table, "sink", "../../../testdata/overview-names.txt")
}
