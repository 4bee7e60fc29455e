package config_test

import (
	"fmt"

	"github.com/culvert-project/culvert/internal/config"
)

// The problems of a worker's settings, and the resulting settings.
func ExampleNewWorker() {
	w, problems := config.NewWorker("", nil, nil, map[string]string{
		"task.shutdown.graceful.timeout.ms": "2000", "offset.storage.topc": "o"})
	for _, p := range problems {
		fmt.Println(p)
	}
	fmt.Println(w.Duration("task.shutdown.graceful.timeout.ms"), w.Text("key.converter"))
	// Output:
	// command line: offset.storage.topc: warning: unknown setting; the nearest known one is offset.storage.topic
	// 2s org.apache.kafka.connect.json.JsonConverter
}
