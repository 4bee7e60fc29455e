package console

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// thirdPartyDigests has the SHA-256 of each third-party file.
var thirdPartyDigests = map[string]string{
	"idiomorph-0.8.0.js":          "4cbd535caf7663a51eda9bce6595371c384fc430d54b8d414e29a61167f19f96",
	"idiomorph.LICENSE.txt":       "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
	"inter-5.3.0-latin-ext.woff2": "34b9c504cab7a73e37b746343a449132e56cf7b5481af2cb81dc74dcff25c956",
	"inter-5.3.0-latin.woff2":     "3100e775e8616cd2611beecfa23a4263d7037586789b43f035236a2e6fbd4c62",
	"inter.LICENSE.txt":           "3b0a5fca3d17942cde889069889dedbbbd075e9b599968c82a95f4d944e9b345",
	"lucide-1.62.0.svg":           "77148ef07bdbce0b76cdef088fd0c4255ac8e53bfc0c69a8642f09a9ddbf8496",
	"lucide.LICENSE.txt":          "b495047bd93a9b06913511076f504daba17d5bbeb3e0650f3bb53a4220329c57",
}

// Third-party files have the known digests, each has its licence, and the sprite has every icon that a page uses.
func TestThirdPartyFilesAreKnown(t *testing.T) {
	files, err := fs.ReadDir(assetFiles, "assets/vendor")
	assert.NoError(t, err)
	assert.Equal(t, len(thirdPartyDigests), len(files), "files")
	for _, f := range files {
		data, err := assetFiles.ReadFile("assets/vendor/" + f.Name())
		assert.NoError(t, err)
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != thirdPartyDigests[f.Name()] {
			t.Errorf("%s: expected the SHA-256 %s, found %s", f.Name(), thirdPartyDigests[f.Name()], got)
		}
		library, _, _ := strings.Cut(f.Name(), "-")
		library, _, _ = strings.Cut(library, ".")
		if thirdPartyDigests[library+".LICENSE.txt"] == "" {
			t.Errorf("%s: expected a licence next to it, found none", f.Name())
		}
	}
	sprite, err := assetFiles.ReadFile("assets/vendor/lucide-1.62.0.svg")
	assert.NoError(t, err)
	assert.Equal(t, 24, strings.Count(string(sprite), "<symbol "), "icons")
	for word, s := range stateLooks {
		assert.Contains(t, string(sprite), `id="`+s.Icon+`"`)
		assert.True(t, s.Color != "", "%s: expected a color, found none", word)
	}
}
