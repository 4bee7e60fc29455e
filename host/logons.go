package host

import (
	"os"
	"path/filepath"

	"github.com/culvert-project/culvert/host/transport"
)

// OpenLogons opens the memory of refused logons that belongs to a data folder, so that commands and restarts know what a worker has
// learnt. Where there is no such folder it is kept among the user's caches.
func OpenLogons(data string) (*transport.Logons, error) {
	if info, err := os.Stat(data); err != nil || !info.IsDir() {
		user, err := os.UserCacheDir()
		if err != nil {
			return transport.NewLogons(), nil
		}
		data = filepath.Join(user, "culvert")
	}
	return transport.OpenLogons(filepath.Join(data, "logons"))
}

// openLogons is the worker's.
func (h *Host) openLogons() (err error) {
	if h.logons, err = OpenLogons(h.config.Data); err != nil || !h.config.ResumeLogons {
		return err
	}
	n, err := h.logons.Resume()
	h.log.Info("refused logons are tried once more", "refusals", n)
	return err
}
