// Command clients runs the calls of github.com/go-kafka/connect. Its arguments are URL, NAME and CONFIG. It prints a
// line for each call, with the status and the decoded response.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/go-kafka/connect"
)

// step prints the result of a call. It ends the program if there is no response.
func step(call string, read any, answer *http.Response, err error) {
	if answer == nil {
		fmt.Fprintln(os.Stderr, call+":", err)
		os.Exit(1)
	}
	text, _ := json.Marshal(read)
	fmt.Println(call, answer.StatusCode, string(text), err)
}

func main() {
	url := os.Args[1]
	name := os.Args[2]
	client := connect.NewClient(url)
	config := connect.ConnectorConfig{}
	if err := json.Unmarshal([]byte(os.Args[3]), &config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	answer, err := client.CreateConnector(&connect.Connector{Name: name, Config: config})
	step("CreateConnector", nil, answer, err)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		status, _, err := client.GetConnectorStatus(name)
		if err == nil && len(status.Tasks) > 0 && status.Tasks[0].State == "RUNNING" {
			break
		}
	}
	status, answer, err := client.GetConnectorStatus(name)
	step("GetConnectorStatus", status, answer, err)
	names, answer, err := client.ListConnectors()
	step("ListConnectors", names, answer, err)
	connector, answer, err := client.GetConnector(name)
	step("GetConnector", connector, answer, err)
	read, answer, err := client.GetConnectorConfig(name)
	step("GetConnectorConfig", read, answer, err)
	tasks, answer, err := client.GetConnectorTasks(name)
	step("GetConnectorTasks", tasks, answer, err)
	config["tasks.max"] = "2"
	connector, answer, err = client.UpdateConnectorConfig(name, config)
	step("UpdateConnectorConfig", connector, answer, err)
	answer, err = client.PauseConnector(name)
	step("PauseConnector", nil, answer, err)
	answer, err = client.ResumeConnector(name)
	step("ResumeConnector", nil, answer, err)
	answer, err = client.RestartConnector(name)
	step("RestartConnector", nil, answer, err)
	answer, err = client.DeleteConnector(name)
	step("DeleteConnector", nil, answer, err)
	connector, answer, err = client.GetConnector(name)
	step("GetConnectorOfNone", connector, answer, err)
}
