package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/meter"
)

// refusals are the modules that were refused, by what they are and what they were judged by, so that no restart and no
// touch of a file compiles again what is refused anyway. nil knows none and keeps none.
type refusals struct {
	mu    sync.Mutex
	texts map[string]Refused
}

// Refused is the error of a module that was refused before.
type Refused struct {
	// Text is the reason, At when it was found. Until is when it is tried once more, nil: never, by this program under
	// these limits.
	Text  string
	At    time.Time
	Until *time.Time
	// File keeps it, "" where it is kept in memory only.
	File string `json:"-"`
}

func (r *Refused) Error() string {
	text := r.Text + " (found " + r.At.Format(time.RFC3339)
	if r.Until != nil {
		text += ", tried again from " + r.Until.Format(time.RFC3339)
	}
	if r.File != "" {
		text += "; to try it now delete " + r.File
	}
	return text + ")"
}

// slowAgain is after how long a module is tried again that was refused for the time that it took: the machine may have
// been busy.
const slowAgain = 24 * time.Hour

// rulesOf is what decides whether a module is refused, beside its bytes: this very program, and the limits.
var rulesOf = sync.OnceValue(func() string {
	path, err := os.Executable()
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(path)
	}
	if err != nil {
		return "" // as good as any: the versions of what is made of a module count beside it
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
})

func refusalName(hash string, limits Limits) string {
	return hashOf(fmt.Appendf(nil, "program %s, %+v, %+v, %v: %s", rulesOf(), limits, meter.Defaults(), compileTime,
		hash))
}

// known is the error of a module that was refused before, nil for any other.
func (r *refusals) known(s *descriptionCache, hash string, limits Limits) error {
	if r == nil {
		return nil
	}
	name := refusalName(hash, limits)
	r.mu.Lock()
	known, ok := r.texts[name]
	r.mu.Unlock()
	if !ok {
		text := s.read(name, "refused")
		if text == nil || json.Unmarshal(text, &known) != nil {
			return nil
		}
	}
	if known.Until != nil && !time.Now().Before(*known.Until) {
		return nil
	}
	if s != nil {
		known.File = s.path(s.key(name), "refused")
		if _, err := os.Stat(known.File); errors.Is(err, fs.ErrNotExist) {
			return nil // somebody wants it to be tried
		}
	}
	return &known
}

// keep notes a refusal that would come again: what lies in the module, not in the machine or in a stop.
func (r *refusals) keep(s *descriptionCache, hash string, limits Limits, err error) {
	var (
		refusal  *meter.Refusal
		exceeded *meter.Exceeded
		late     *slow
		trap     *Trap
		final    *unfit
	)
	if r == nil {
		return
	}
	known := Refused{Text: err.Error(), At: time.Now().UTC().Truncate(time.Second)}
	switch {
	case errors.As(err, &late), errors.As(err, &trap) && trap.Limit == "call.ms":
		until := known.At.Add(slowAgain)
		known.Until = &until
	case errors.As(err, &refusal), errors.As(err, &exceeded), errors.As(err, &trap), errors.As(err, &final):
	default:
		return
	}
	name := refusalName(hash, limits)
	r.mu.Lock()
	if r.texts == nil {
		r.texts = map[string]Refused{}
	}
	r.texts[name] = known
	r.mu.Unlock()
	if text, err := json.Marshal(known); err == nil {
		s.keep(name, "refused", text)
	}
}

// unfit is the error of a module that is refused for what it is.
type unfit struct{ error }

func (u *unfit) Unwrap() error { return u.error }
