//go:build real

package dist

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// imageUser is the ID of the image's user and group.
const imageUser = 65532

// ociDocument has the fields that the test reads of the documents of an OCI layout. An index has Manifests, a manifest
// has Layers and the digest of its configuration, a configuration has Config without a digest.
// See https://github.com/opencontainers/image-spec.
type ociDocument struct {
	Manifests []struct {
		Digest   string
		Platform struct{ Architecture string }
	}
	Layers []struct{ Digest string }
	Config struct {
		Digest string
		imageConfig
	}
}

// imageConfig specifies how a container runs the image.
type imageConfig struct {
	User       string
	Cmd        []string
	Entrypoint []string
	Env        []string
	Volumes    map[string]any
}

// The image has the same bytes when it is built twice, for both processors. A container runtime runs only the image
// for amd64, because it cannot run programs for another processor than the machine's.
func TestRealImage(t *testing.T) {
	builds := []string{t.TempDir(), t.TempDir()}
	var files []map[string]string
	for _, dir := range builds {
		c := exec.Command("./image.sh", filepath.Join(dir, "image"))
		out, err := c.CombinedOutput()
		require.True(t, err == nil, "%v\n%s", err, out)
		files = append(files, digests(t, filepath.Join(dir, "image")))
	}
	assert.Equal(t, files[0], files[1], "two builds differ")
	layout := filepath.Join(builds[0], "image")
	blobPath := func(digest string) string {
		return filepath.Join(layout, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:"))
	}
	var index, platforms ociDocument
	readJSON(t, filepath.Join(layout, "index.json"), &index)
	readJSON(t, blobPath(index.Manifests[0].Digest), &platforms)
	var architectures []string
	for _, m := range platforms.Manifests {
		var manifest, configuration ociDocument
		readJSON(t, blobPath(m.Digest), &manifest)
		readJSON(t, blobPath(manifest.Config.Digest), &configuration)
		config := configuration.Config.imageConfig
		architectures = append(architectures, m.Platform.Architecture)
		_, hasVolume := config.Volumes["/var/lib/culvert"]
		assert.True(t, config.User == fmt.Sprintf("%d:%d", imageUser, imageUser) && hasVolume,
			"expected the user and the volume of the Dockerfile, found %+v", config)
		wantCmd := []string{"run", "--config", "/etc/culvert", "--data", "/var/lib/culvert"}
		assert.Equal(t, wantCmd, config.Cmd, "the command of the Dockerfile")
		bundle := t.TempDir()
		owners := unpack(t, blobPath(manifest.Layers[0].Digest), filepath.Join(bundle, "rootfs"))
		assert.True(t, owners["./var/lib/culvert/"] == imageUser && owners["./usr/bin/culvert"] == 0,
			"expected the data folder to belong to the user, found %v", owners)
		roots, err := os.ReadFile(filepath.Join(bundle, "rootfs/etc/ssl/certs/ca-certificates.crt"))
		n := strings.Count(string(roots), "BEGIN CERTIFICATE")
		assert.True(t, err == nil && n >= 100, "expected at least 100 certificates, found %d, %v", n, err)
		if m.Platform.Architecture == "amd64" {
			runImage(t, bundle, config)
		}
	}
	assert.Equal(t, []string{"amd64", "arm64"}, architectures)
}

// runImage runs commands in a container with the image's user, environment and entry point, and a read-only root.
func runImage(t *testing.T, bundle string, config imageConfig) {
	t.Helper()
	home, err := exec.Command("../../testdata/peers/runc/fetch.sh").Output()
	require.NoError(t, err, "fetch.sh")
	lib := filepath.Join(strings.TrimSpace(string(home)), "lib")
	for n, c := range []struct {
		args []string
		want string // a part of the output
	}{
		{args: []string{"version"}, want: "Culvert "},
		{args: []string{"plugins", "list", "--data", "/var/lib/culvert"}, want: "odata-source"},
	} {
		spec, err := json.Marshal(map[string]any{
			"ociVersion": "1.0.2",
			"hostname":   "culvert",
			"process": map[string]any{
				"user":            map[string]any{"uid": imageUser, "gid": imageUser},
				"cwd":             "/",
				"args":            slices.Concat(config.Entrypoint, c.args),
				"env":             config.Env,
				"noNewPrivileges": true,
			},
			"root": map[string]any{"path": "rootfs", "readonly": true},
			"mounts": []any{
				map[string]any{
					"destination": "/proc",
					"type":        "proc",
					"source":      "proc",
				},
				map[string]any{
					"destination": "/var/lib/culvert",
					"type":        "tmpfs",
					"source":      "tmpfs",
					"options": []string{
						fmt.Sprintf("uid=%d", imageUser),
						fmt.Sprintf("gid=%d", imageUser),
						"mode=700",
					},
				},
			},
			"linux": map[string]any{
				"namespaces": []any{
					map[string]any{"type": "pid"},
					map[string]any{"type": "mount"},
					map[string]any{"type": "ipc"},
					map[string]any{"type": "uts"},
					map[string]any{"type": "network"},
				},
			},
		})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(bundle, "config.json"), spec, 0o600))
		run := exec.Command("timeout", "300", filepath.Join(lib, "runc"), "--root", filepath.Join(bundle, "state"),
			"run", "--bundle", bundle, fmt.Sprintf("culvert-test-%d-%d", os.Getpid(), n))
		run.Env = append(os.Environ(), "LD_LIBRARY_PATH="+lib)
		if out, err := run.CombinedOutput(); err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("culvert %q in a container: expected %q, found %v\n%s", c.args, c.want, err, out)
		}
	}
}

func readJSON(t *testing.T, path string, document any) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, document))
}

// digests returns the SHA-256 digests of all files below a folder, by path.
func digests(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = fmt.Sprintf("%x", sha256.Sum256(data))
		return err
	}))
	return files
}

// unpack extracts a layer of directories and regular files to a folder, and returns the user ID of each entry.
func unpack(t *testing.T, layer, dir string) map[string]int {
	t.Helper()
	f, err := os.Open(layer)
	require.NoError(t, err)
	defer f.Close()
	archive, err := gzip.NewReader(f)
	require.NoError(t, err)
	owners := map[string]int{}
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return owners
		}
		require.NoError(t, err)
		owners[h.Name] = h.Uid
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if h.Typeflag == tar.TypeDir {
			require.NoError(t, os.MkdirAll(path, 0o755))
			continue
		}
		require.True(t, h.Typeflag == tar.TypeReg,
			"%s: expected a directory or a regular file, found type %q", h.Name, h.Typeflag)
		file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, h.FileInfo().Mode())
		require.NoError(t, err)
		_, err = io.Copy(file, r)
		require.NoError(t, errors.Join(err, file.Close()))
	}
}
