package main

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// The file of a plugin's command is found in all forms of flags, next to flags that only the plugin knows.
func TestFileOfPluginCommand(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"peek -p FILE":                        "FILE",
		"peek -pFILE":                         "FILE",
		"peek -p=FILE":                        "FILE",
		"peek --properties FILE":              "FILE",
		"peek --properties=FILE":              "FILE",
		"peek -pFILE -s/sap/opu -n5":          "FILE",
		"peek -s /sap/opu -n 5 -pFILE":        "FILE",
		"peek -s=/sap/opu --rows=5 -p FILE":   "FILE",
		"peek --rows 5 -é -pFILE --data /tmp": "FILE",
		"peek --help -p FILE":                 "FILE",
	} {
		words := strings.Fields(args)
		file, isSet, err := parseFile(new(installation), words)
		assert.True(t, err == nil && isSet && hasFile(words), "%s: expected a file, found %q, %v", args, file, err)
		assert.Equal(t, want, file, args)
	}
	for args, want := range map[string]bool{"peek": false, "peek -s/sap/opu": false, "peek --help": false,
		"peek -p": true, "peek --data": true} {
		assert.Equal(t, want, hasFile(strings.Fields(args)), args)
	}
}
