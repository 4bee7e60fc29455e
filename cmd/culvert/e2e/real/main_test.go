//go:build real

package real

import (
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m) }
