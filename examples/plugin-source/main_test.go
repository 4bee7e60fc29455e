package main

import (
	"testing"

	"github.com/culvert-project/culvert/sdk/go/plugintest"
	"github.com/culvert-project/culvert/sdk/go/source"
)

// The source reads the recorded pages of the API as the golden files show.
func TestTickets(t *testing.T) {
	plugintest.RunSource(t, source.Pages(tickets{}), "testdata/*.txt")
}
