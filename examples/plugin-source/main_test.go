package main

import (
	"testing"

	"github.com/culvert-project/culvert/sdk/go/plugintest"
	"github.com/culvert-project/culvert/sdk/go/source"
)

func TestTickets(t *testing.T) {
	plugintest.RunSource(t, source.Pages(tickets{}), "testdata/*.txt")
}
