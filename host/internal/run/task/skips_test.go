package task

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/logtest"
)

// One line for each cause and ten seconds, with a count, and nothing that is not counted.
func TestSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Journal
		log, seen := out.Logger(slog.LevelInfo), 0
		s := &Skips{Message: "record skipped"}
		lines := func(want ...string) {
			t.Helper()
			synctest.Wait()
			said := out.String()
			found := strings.Split(strings.TrimSuffix(said[seen:], "\n"), "\n")
			seen = len(said)
			if len(found) != len(want) {
				t.Fatalf("expected %d lines, found %q", len(want), found)
			}
			for _, w := range want {
				if !strings.Contains(strings.Join(found, "\n"), w) {
					t.Errorf("expected %q, found %q", w, found)
				}
			}
		}
		for i := range 1000 {
			s.Skip(log, AtEncode, fmt.Errorf("expected a date, found %q", fmt.Sprint("x", i)), []any{"offset", i}, nil)
			s.Skip(log, AtWrite, errors.New("no such product"), []any{"offset", i}, nil)
		}
		lines("offset=0 stage=encode", "offset=0 stage=write")
		time.Sleep(skipsEvery)
		lines("count=999 stage=encode", "count=999 stage=write")
		s.Skip(log, AtEncode, errors.New(`expected a date, found "y"`), nil, nil)
		time.Sleep(skipsEvery)
		lines("count=1 stage=encode")
		time.Sleep(3 * skipsEvery)
		for i := range 1000 { // of as many causes
			s.Skip(log, AtEncode, errors.New(strings.Repeat("x", i+1)), []any{"offset", i}, nil)
		}
		said := out.String()
		if n := strings.Count(said[seen:], "\n"); n != maxCauses+1 {
			t.Errorf("expected %d lines, found %d", maxCauses+1, n)
		}
		seen = len(said)
		s.Close()
		lines(fmt.Sprintf("count=%d", 1000-maxCauses-1))
	})
}
