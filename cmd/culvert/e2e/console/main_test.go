package console

import (
	"testing"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
)

func TestMain(m *testing.M) { e2e.Main(m) }
