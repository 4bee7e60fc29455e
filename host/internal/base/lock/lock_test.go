package lock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

func TestTake(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.lock")
	require.NoError(t, os.WriteFile(name, []byte("999999999999999999999999 of another time\n"), 0o600))
	first, err := Take(name)
	require.NoError(t, err)
	_, err = Take(name)
	if want := fmt.Sprintf("(process %d)", os.Getpid()); !errors.Is(err, ErrTaken) || !strings.HasSuffix(err.Error(),
		want) {
		t.Errorf("expected it to be taken %s, found %v", want, err)
	}
	if err := first.Release(); err != nil {
		t.Error(err)
	}
	second, err := Take(name)
	if err != nil {
		t.Fatalf("expected it to be free again, found %v", err)
	}
	second.Release()
	if _, err := Take(filepath.Join(name, "below")); err == nil || errors.Is(err, ErrTaken) {
		t.Errorf("expected a file that cannot be made to be another error, found %v", err)
	}
	var none *Lock
	if err := none.Release(); err != nil {
		t.Error(err)
	}
}
