package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// newSecretConnector returns a connector with one secret in its own file and another among others, and the folder of
// these files.
func newSecretConnector(t *testing.T) (providers *Providers, connector *Connector, dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "some.properties"), "a=1\npassword=one\n")
	write(t, filepath.Join(dir, "token"), "uno")
	providers, problems := newProviders(nil)
	connector, more := NewConnector("c.properties", []Entry{
		NewEntry("fixed", "x", "", 0),
		NewEntry("password", "${file:"+dir+"/some.properties:password}", "", 0),
		NewEntry("token", "Bearer ${dir:"+dir+":token}", "", 0),
	}, providers)
	require.NoError(t, append(problems, more...).Err())
	return providers, connector, dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// References are read again; changed keys are those with another value.
func TestReferencesAreReadAgain(t *testing.T) {
	providers, connector, dir := newSecretConnector(t)
	files := providers.Files(connector)
	assert.True(t, len(files) == 2 && files[0] == filepath.Join(dir, "some.properties") &&
		files[1] == filepath.Join(dir, "token"), "expected the files of both references, found %v", files)
	write(t, files[1], "due")
	reread, err := connector.Resolve(providers)
	require.NoError(t, err)
	keys := connector.ChangedSince(reread)
	assert.True(t, len(keys) == 1 && keys[0] == "token" && reread.Text("token") == "Bearer due" &&
		reread.Text("password") == "one" && connector.Text("token") == "Bearer uno",
		"expected other values of the changed keys, found changes %v: %q, %q", keys, reread.Text("token"),
		reread.Text("password"))
	if entry, _ := reread.Entry("token"); !entry.Value.IsSecret() || entry.Raw != "Bearer ${dir:"+dir+":token}" {
		t.Errorf("expected a secret with its reference, found %+v", entry)
	}
	require.NoError(t, os.Remove(files[1]))
	_, err = connector.Resolve(providers)
	assert.True(t, err != nil, "expected an error for a missing secret")
}
