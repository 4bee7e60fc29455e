package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/meter"
	"github.com/culvert-project/culvert/internal/plugin/internal/code"
)

// RefusedError is the error of a module that was refused before. It is stored as JSON.
type RefusedError struct {
	Text  string
	At    time.Time
	Until *time.Time // when the module is tried again; nil means never by this program with these limits
	File  string     `json:"-"` // where the refusal is stored
}

func (r *RefusedError) Error() string {
	message := r.Text + " (found " + r.At.Format(time.RFC3339)
	if r.Until != nil {
		message += ", tried again from " + r.Until.Format(time.RFC3339)
	}
	return message + "; to try it now delete " + r.File + ")"
}

// slowRetry is the time until a module that was too slow is tried again: the process may have done other work.
const slowRetry = time.Hour

// refusalRules identifies this program, which decides about refusals together with the limits.
var refusalRules = sync.OnceValue(func() string {
	path, err := os.Executable()
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(path)
	}
	if err != nil {
		return "" // the name also depends on versions and limits
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
})

func refusalName(hash string, limits Limits) string {
	return code.HashOf(fmt.Appendf(nil, "program %s, %+v, %+v, %v: %s", refusalRules(), limits, meter.Defaults(),
		code.CompileTime, hash))
}

// cachedRefusal returns why a file was refused before with the same limits, nil if it may be tried.
func cachedRefusal(cache *code.Cache, hash string, limits Limits) error {
	name := refusalName(hash, limits)
	var stored RefusedError
	file := cache.Read(name, "refused")
	if file == nil || json.Unmarshal(file, &stored) != nil {
		return nil
	}
	if stored.Until != nil && !time.Now().Before(*stored.Until) {
		return nil
	}
	stored.File = cache.Path(name, "refused")
	return &stored
}

// cacheRefusal stores a refusal that depends on the module alone, so that it is not compiled again. Other errors are
// ignored.
func cacheRefusal(cache *code.Cache, hash string, limits Limits, err error) {
	stored := RefusedError{Text: err.Error(), At: time.Now().UTC().Truncate(time.Second)}
	trap, isTrap := errors.AsType[*Trap](err)
	switch {
	case isA[*code.TooSlowError](err), isTrap && trap.Limit == "call.ms":
		until := stored.At.Add(slowRetry)
		stored.Until = &until
	case isTrap, isA[*meter.UnsupportedError](err), isA[*meter.LimitError](err), isA[*code.UnusableError](err):
		// Until stays nil: another attempt would fail, too.
	default:
		return
	}
	if encoded, err := json.Marshal(stored); err == nil {
		cache.Write(refusalName(hash, limits), "refused", encoded)
	}
}
