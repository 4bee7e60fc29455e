package transport

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Refusals are remembered on file systems without links, too.
func TestRefusalsWithoutLinks(t *testing.T) {
	link = func(from, to string) error {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: errors.ErrUnsupported}
	}
	defer func() { link = os.Link }()
	folder := filepath.Join(t.TempDir(), "logons")
	if sent, err := try(t, openLogons(t, folder), somebody, 401); !sent {
		t.Fatal(err)
	}
	if sent, _ := try(t, openLogons(t, folder), somebody, 401); sent {
		t.Error("expected the refusal to be known to the next process")
	}
	nothingReadable(t, folder)
}
