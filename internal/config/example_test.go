package config_test

import (
	"fmt"

	"github.com/culvert-project/culvert/internal/config"
)

// What is wrong with a worker's settings, and what its settings come to.
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
