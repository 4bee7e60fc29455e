// Package sampled shows the records of samples: as trees with what a transform has changed, cut to the size of a page.
package sampled

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/shown"
)

// Node is a value of a record in the tree viewer.
type Node struct {
	Name     string // the field or index in its parent; "" for the root
	Text     string // the value of a leaf
	Kind     string // the JSON type; "number" also for a boolean
	Children []Node
	Change   string // "changed" or "added" if the record of the previous step differs, else ""
}

// Tree is a text of a record: Nodes if it is complete JSON, else Lines.
type Tree struct {
	Nodes []Node
	Lines []string
}

const (
	maxTreeDepth = 16
	maxTreeNodes = 300
)

// NewTree returns the tree of a text, with marks where it differs from the text before the step; "" means no such text.
func NewTree(text, before string) Tree {
	root, ok := parseTree(text)
	if !ok {
		return Tree{Lines: Lines(text)}
	}
	if previous, ok := parseTree(before); ok {
		root.compare(&previous)
	}
	if root.Kind != "object" && root.Kind != "array" {
		return Tree{Nodes: []Node{root}}
	}
	return Tree{Nodes: root.Children}
}

// Lines returns the lines of a text without characters that hide or reorder others.
func Lines(text string) (lines []string) {
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, shown.Line(line))
	}
	return lines
}

// parseTree parses JSON. ok is false for other texts, for truncated ones, and if it is too large for a tree.
func parseTree(text string) (root Node, ok bool) {
	if text == "" || !json.Valid([]byte(text)) {
		return root, false
	}
	p := treeParser{decoder: json.NewDecoder(bytes.NewReader([]byte(text)))}
	p.decoder.UseNumber()
	root = p.parseValue("", 0)
	return root, !p.isTooLarge
}

type treeParser struct {
	decoder    *json.Decoder
	count      int // of nodes
	isTooLarge bool
}

// parseValue reads the next value. The input is valid JSON, so the decoder returns no errors.
func (p *treeParser) parseValue(name string, depth int) Node {
	n := Node{Name: shown.Line(name)}
	p.count++
	if p.count > maxTreeNodes || depth > maxTreeDepth {
		p.isTooLarge = true
		return n
	}
	token, _ := p.decoder.Token()
	switch t := token.(type) {
	case json.Delim:
		n.Kind = "array"
		if t == '{' {
			n.Kind = "object"
		}
		for i := 0; p.decoder.More() && !p.isTooLarge; i++ {
			key := strconv.Itoa(i)
			if n.Kind == "object" {
				token, _ := p.decoder.Token()
				key, _ = token.(string)
			}
			n.Children = append(n.Children, p.parseValue(key, depth+1))
		}
		_, _ = p.decoder.Token()
	case string:
		n.Kind = "string"
		n.Text = quote(t)
	case nil:
		n.Kind = "null"
		n.Text = "null"
	default:
		n.Kind = "number" // or a boolean, which looks the same
		data, _ := json.Marshal(t)
		n.Text = string(data)
	}
	return n
}

func quote(text string) string { return `"` + shown.Line(text) + `"` }

// compare sets Change in the nodes that differ from the previous record. It reports whether any node differs.
func (n *Node) compare(previous *Node) (differs bool) {
	if n.Kind != previous.Kind || n.Text != previous.Text {
		n.Change = "changed"
		return true
	}
	byName := map[string]*Node{}
	for i := range previous.Children {
		byName[previous.Children[i].Name] = &previous.Children[i]
	}
	differs = len(n.Children) != len(previous.Children)
	for i := range n.Children {
		child := &n.Children[i]
		if other := byName[child.Name]; other == nil {
			child.Change = "added"
			differs = true
		} else if child.compare(other) {
			differs = true
		}
	}
	return differs
}

// Open reports whether the viewer shows the children at first.
func (n Node) Open() bool { return len(n.Children) <= 20 }
