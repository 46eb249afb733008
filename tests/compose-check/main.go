// Checks a Compose file and a Dockerfile with the loaders of Compose and of BuildKit themselves, so that it needs no engine:
//
//	go run . ../../docker-compose.yml ../../Dockerfile
//
// It fails on any error of their schemas, on any warning, on a file to mount or to copy that is not there, and on a
// service that waits for another's health where nothing tells it. It builds and starts nothing. What it has read it
// prints as JSON: the project with every reference resolved, and what the image says of itself.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/sirupsen/logrus"
)

// image is what the last stage of a Dockerfile says of how it is run.
type image struct {
	Entrypoint  []string `json:"entrypoint"`
	Command     []string `json:"command"`
	Healthcheck []string `json:"healthcheck"`
	User        string   `json:"user"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: compose-check COMPOSE-FILE DOCKERFILE")
		os.Exit(64)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(composePath, dockerfilePath string) error {
	built, err := dockerfile(dockerfilePath)
	if err != nil {
		return err
	}
	project, err := compose(composePath, len(built.Healthcheck) > 0)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"project": project, "image": built})
}

// compose loads the file as Compose does: references are resolved, everything is held to the schema and to consistency.
func compose(path string, imageHasHealthcheck bool) (*types.Project, error) {
	warnings := &recorder{}
	logrus.AddHook(warnings)
	logrus.SetOutput(io.Discard)
	options, err := cli.NewProjectOptions([]string{path})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var found []error
	for _, warning := range warnings.texts {
		found = append(found, fmt.Errorf("%s: %s", path, warning))
	}
	for name, service := range project.Services {
		for _, volume := range service.Volumes {
			if volume.Type != types.VolumeTypeBind {
				continue
			}
			if info, err := os.Stat(volume.Source); err != nil || !info.Mode().IsRegular() {
				found = append(found, fmt.Errorf("%s: service %s mounts %s, which is no file", path, name, volume.Source))
			}
		}
		for other, dependency := range service.DependsOn {
			target := project.Services[other]
			told := target.HealthCheck != nil || (target.Build != nil && imageHasHealthcheck)
			if dependency.Condition == types.ServiceConditionHealthy && !told {
				found = append(found, fmt.Errorf("%s: service %s waits for the health of %s, which nothing tells", path, name, other))
			}
		}
	}
	return project, errors.Join(found...)
}

// dockerfile parses the file as BuildKit does.
func dockerfile(path string) (image, error) {
	file, err := os.Open(path)
	if err != nil {
		return image{}, err
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		return image{}, fmt.Errorf("%s: %w", path, err)
	}
	var found []error
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, at []parser.Range) {
		line := 0
		if len(at) > 0 {
			line = at[0].Start.Line
		}
		found = append(found, fmt.Errorf("%s:%d: %s: %s", path, line, rule, message))
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		return image{}, fmt.Errorf("%s: %w", path, err)
	}
	if len(stages) == 0 {
		return image{}, fmt.Errorf("%s: has no stage", path)
	}
	for _, stage := range stages {
		for _, command := range stage.Commands {
			if copied, ok := command.(*instructions.CopyCommand); ok && copied.From == "" {
				found = append(found, sources(path, copied)...)
			}
		}
	}
	return runs(stages[len(stages)-1]), errors.Join(found...)
}

func runs(stage instructions.Stage) image {
	var built image
	for _, command := range stage.Commands {
		switch command := command.(type) {
		case *instructions.EntrypointCommand:
			built.Entrypoint = command.CmdLine
		case *instructions.CmdCommand:
			built.Command = command.CmdLine
		case *instructions.HealthCheckCommand:
			built.Healthcheck = command.Health.Test
		case *instructions.UserCommand:
			built.User = command.User
		}
	}
	return built
}

// sources finds what is copied from the build's context, and is not there.
func sources(path string, copied *instructions.CopyCommand) []error {
	var found []error
	for _, source := range copied.SourcePaths {
		matches, err := filepath.Glob(filepath.Join(filepath.Dir(path), source))
		if err != nil || len(matches) == 0 {
			found = append(found, fmt.Errorf("%s: copies %s, which is not there", path, source))
		}
	}
	return found
}

// recorder keeps what the loader warns of.
type recorder struct{ texts []string }

func (r *recorder) Levels() []logrus.Level { return logrus.AllLevels[:logrus.WarnLevel+1] }

func (r *recorder) Fire(entry *logrus.Entry) error {
	r.texts = append(r.texts, strings.TrimSpace(entry.Message))
	return nil
}
