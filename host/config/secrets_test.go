package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// secretsOf is a connector with a secret in a file of its own and one among others, and the folder that they are in.
func secretsOf(t *testing.T) (p *Providers, c *Connector, dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "some.properties"), "a=1\npassword=one\n")
	write(t, filepath.Join(dir, "token"), "uno")
	p, problems := NewProviders(nil)
	c, more := NewConnector("c.properties", []Entry{
		{Key: "fixed", Value: "x", Raw: "x"},
		{Key: "password", Value: "${file:" + dir + "/some.properties:password}", Raw: "${file:" + dir + "/some.properties:password}"},
		{Key: "token", Value: "Bearer ${dir:" + dir + ":token}", Raw: "Bearer ${dir:" + dir + ":token}"},
	}, p)
	if err := append(problems, more...).Err(); err != nil {
		t.Fatal(err)
	}
	return p, c, dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReferencesAreReadAgain(t *testing.T) {
	p, c, dir := secretsOf(t)
	files := p.Files(c)
	if len(files) != 2 || files[0] != filepath.Join(dir, "some.properties") || files[1] != filepath.Join(dir, "token") {
		t.Errorf("found the files %v", files)
	}
	write(t, files[1], "due")
	again, err := c.Again(p)
	if err != nil {
		t.Fatal(err)
	}
	if keys := c.Differing(again); len(keys) != 1 || keys[0] != "token" || again.Text("token") != "Bearer due" || again.Text("password") != "one" || c.Text("token") != "Bearer uno" {
		t.Errorf("differing %v: %q, %q", keys, again.Text("token"), again.Text("password"))
	}
	if e, _ := again.Entry("token"); !e.Secret || e.Raw != "Bearer ${dir:"+dir+":token}" {
		t.Errorf("the entry is %+v", e)
	}
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Again(p); err == nil {
		t.Error("expected an error for a secret that is not there")
	}
}

// TestWatch: files that are written, replaced by renaming, and, as Kubernetes does it, by another folder behind a link.
func TestWatch(t *testing.T) {
	_, _, dir := secretsOf(t)
	kubernetes := t.TempDir()
	for i, text := range []string{"one", "two"} {
		versioned := filepath.Join(kubernetes, []string{"..1", "..2"}[i])
		if err := os.Mkdir(versioned, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(versioned, "password"), text)
	}
	link := func(to, from string) {
		t.Helper()
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	link("..1", filepath.Join(kubernetes, "..data"))
	link(filepath.Join("..data", "password"), filepath.Join(kubernetes, "password"))

	changes := make(chan struct{}, 10)
	w := Watch([]string{filepath.Join(dir, "token"), filepath.Join(kubernetes, "password")}, slog.New(slog.DiscardHandler), func() { changes <- struct{}{} })
	defer w.Close()
	expect := func(what string, change func()) {
		t.Helper()
		change()
		select {
		case <-changes:
		case <-time.After(20 * time.Second): // below the 30 s at which it looks in any case
			t.Fatalf("%s was not seen", what)
		}
	}
	expect("a file that was written", func() { write(t, filepath.Join(dir, "token"), "due") })
	expect("a file that was replaced", func() {
		write(t, filepath.Join(dir, "new"), "tre")
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "token")); err != nil {
			t.Fatal(err)
		}
	})
	expect("a link that was switched", func() {
		link("..2", filepath.Join(kubernetes, "..data_tmp"))
		if err := os.Rename(filepath.Join(kubernetes, "..data_tmp"), filepath.Join(kubernetes, "..data")); err != nil {
			t.Fatal(err)
		}
	})
	if text, _ := os.ReadFile(filepath.Join(kubernetes, "password")); string(text) != "two" {
		t.Errorf("found %q behind the link", text)
	}
}

// Settings whose name ends with a word of the user's own.
func TestNamesOfOnesOwn(t *testing.T) {
	d := Declare(declared("x.header.{name}", wit.KindPassword, "", "", wit.Rule{Role: wit.Ptr("http.header.{name}")}), declared("x.header.fixed", wit.KindText, "", ""))
	c, _ := NewConnector("c.properties", []Entry{{Key: "x.header.API-Key", Value: "k"}, {Key: "x.header.fixed", Value: "f"}, {Key: "x.header.", Value: "e"}}, &Providers{})
	r := NewRoles(d, c)
	if headers := r.Prefix("http.header."); len(headers) != 1 || headers["API-Key"] != "k" || r.Setting("http.header.API-Key") != "x.header.API-Key" || !r.Given("http.header.API-Key") {
		t.Errorf("found %v by %s", headers, r.Setting("http.header.API-Key"))
	}
	if _, ok := d.Find("x.header."); ok {
		t.Error("expected a name")
	}
	if near := d.Nearest("x.heder.API"); near != "x.header.API" {
		t.Errorf("the nearest is %q", near)
	}
}
