// Package strictyaml reads YAML files of one mapping, in which a value is the
// text that stands there: nothing becomes a number, a time or a truth value by
// the look of it. Repeated keys, aliases and a second document are refused.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// Field is one key of the file.
type Field struct {
	Key  string
	Line int
	node *yaml.Node
}

// ErrEmpty is the error of a file without a mapping.
var ErrEmpty = errors.New("the file is empty")

// Parse reads the fields in their order. The errors name the line.
func Parse(text []byte) ([]Field, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, ErrEmpty
	} else if err != nil {
		return nil, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the first document: a file has one, and no second one behind ---")
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, ErrEmpty
	}
	return fields(root)
}

func fields(n *yaml.Node) ([]Field, error) {
	if n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: must be `name: value` lines", n.Line)
	}
	var fs []Field
	lines := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a name must be a word", k.Line)
		}
		if before := lines[k.Value]; before > 0 {
			return nil, fmt.Errorf("line %d: %s is there a second time, after line %d", k.Line, k.Value, before)
		}
		lines[k.Value] = k.Line
		fs = append(fs, Field{k.Value, k.Line, v})
	}
	return fs, nil
}

// Quoted reports whether the value is written as text, in quotes or as a block.
func (f Field) Quoted() bool {
	return f.node.Kind == yaml.ScalarNode && f.node.Style&^yaml.TaggedStyle != 0
}

// Text returns the value as it is written; "" for none.
func (f Field) Text() (string, error) { return scalar(f.node) }

// List returns the values of a list, or the one that is there.
func (f Field) List() ([]string, error) {
	if f.node.Kind != yaml.SequenceNode {
		v, err := f.Text()
		return []string{v}, err
	}
	vs := make([]string, len(f.node.Content))
	for i, n := range f.node.Content {
		v, err := scalar(n)
		if err != nil {
			return nil, err
		}
		vs[i] = v
	}
	return vs, nil
}

// Map returns the fields of a mapping; false if the value is none.
func (f Field) Map() ([]Field, bool, error) {
	if f.node.Kind != yaml.MappingNode {
		return nil, false, nil
	}
	fs, err := fields(f.node)
	return fs, true, err
}

func scalar(n *yaml.Node) (string, error) {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return "", fmt.Errorf("line %d: aliases and anchors are not supported", n.Line)
	case n.Kind != yaml.ScalarNode:
		return "", fmt.Errorf("line %d: must be one value", n.Line)
	case n.Style&yaml.TaggedStyle != 0:
		return "", fmt.Errorf("line %d: tags (%s) are not supported", n.Line, n.Tag)
	case n.Tag == "!!null":
		return "", nil
	}
	return n.Value, nil
}
