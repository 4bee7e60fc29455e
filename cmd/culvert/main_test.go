package main

import (
	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"testing"
)

func TestMain(m *testing.M) { e2e.Main(m) }
