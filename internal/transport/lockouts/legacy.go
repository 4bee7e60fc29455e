package lockouts

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"

	"github.com/culvert-project/culvert/internal/base/wholefile"
)

// legacyFolder holds older versions' refusals: a salt, and files whose name is a secret's hash with legacySuffix.
const legacyFolder, legacySuffix = "logons", ".refused"

// importLegacy copies a refusal of an older version, unless an operator has resumed since; st.mu is held.
func (st *Store) importLegacy(id Identity, secret Secret) {
	for _, folder := range st.legacyFolders {
		salt, err := wholefile.Read(filepath.Join(folder, "salt"), sha256.Size)
		if err != nil {
			continue
		}
		hash, err := pbkdf2.Key(sha256.New, id.place()+id.Secret, salt, hashRounds, 16)
		if err != nil {
			continue
		}
		info, err := os.Stat(filepath.Join(folder, hex.EncodeToString(hash)+legacySuffix))
		if err == nil && info.ModTime().After(st.resumedAt) {
			st.save(secret, info.ModTime())
		}
	}
}
