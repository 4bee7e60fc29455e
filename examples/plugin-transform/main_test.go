package main

import (
	"testing"

	"github.com/culvert-project/culvert/sdk/go/plugintest"
	"github.com/culvert-project/culvert/sdk/go/transform"
)

func TestMaskText(t *testing.T) {
	plugintest.Transform(t, transform.Records(maskText{}), "testdata/*.txt")
}
