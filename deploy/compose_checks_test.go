package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"seckill/internal/config"
)

// pinned is an image with a version of at least two numbers.
var pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9]+\.[0-9]+`)

// leastVersions have no publicly known hole; those before them have.
var leastVersions = map[string][]int{"nginx": {1, 30, 7}, "redis": {7, 4, 9}, "golang": {1, 26, 10}}

// outdated says whether an image is older than it may be.
func outdated(image string) string {
	name, tag, _ := strings.Cut(image, ":")
	var version []int
	for n := range strings.SplitSeq(strings.SplitN(tag, "-", 2)[0], ".") {
		v, _ := strconv.Atoi(n)
		version = append(version, v)
	}
	if least := leastVersions[name]; slices.Compare(version, least) < 0 {
		return fmt.Sprintf("image %q has known holes: at least %v", image, least)
	}
	return ""
}

func (s system) checkImage(svc types.ServiceConfig) (found []string) {
	switch {
	case ours(svc):
		if svc.Build == nil {
			found = append(found, "is ours and not built")
		}
	case !pinned.MatchString(svc.Image):
		found = append(found, fmt.Sprintf("image %q is not pinned to a version", svc.Image))
	case outdated(svc.Image) != "":
		found = append(found, outdated(svc.Image))
	}
	return found
}

// checkHealth: a service has a health check, or is a job.
func (s system) checkHealth(svc types.ServiceConfig) []string {
	h := svc.HealthCheck
	has := h != nil && !h.Disable && len(h.Test) > 1
	switch {
	case job(svc):
		return nil
	case !has:
		return []string{"has no health check"}
	case svc.Restart == "":
		return []string{"is not started again when it ends"}
	case ours(svc) && !slices.Equal(h.Test, []string{"CMD", "/seckill", "healthcheck"}):
		return []string{fmt.Sprintf("health check %q", h.Test)}
	}
	return nil
}

// checkDependencies: each condition can come true.
func (s system) checkDependencies(svc types.ServiceConfig) (found []string) {
	for name, d := range svc.DependsOn {
		server := s.Services[name]
		switch d.Condition {
		case types.ServiceConditionHealthy:
			if job(server) || server.HealthCheck == nil || server.HealthCheck.Disable {
				found = append(found, name+" never becomes healthy")
			}
		case types.ServiceConditionCompletedSuccessfully:
			if !job(server) {
				found = append(found, name+" never completes")
			}
		default:
			found = append(found, name+": waits for "+d.Condition+" only")
		}
	}
	return found
}

var secretName = regexp.MustCompile(`PASSWORD|SECRET|_KEY|DSN`)

// checkSecrets: the file contains none, and each that is read is mounted.
func (s system) checkSecrets(svc types.ServiceConfig) (found []string) {
	mounted := map[string]bool{}
	for _, secret := range svc.Secrets {
		mounted["/run/secrets/"+secret.Source] = true
		if !strings.HasPrefix(s.Secrets[secret.Source].File, filepath.Join(s.WorkingDir, "deploy/compose/secrets")+"/") {
			found = append(found, "secret "+secret.Source+" is kept where git does not ignore it")
		}
		if _, err := os.Stat(filepath.Join(s.secrets, filepath.Base(s.Secrets[secret.Source].File))); err != nil {
			found = append(found, "secret "+secret.Source+" is not made by make-secrets")
		}
	}
	used := map[string]bool{}
	for name, value := range svc.Environment {
		isFile := strings.HasSuffix(name, "_FILE") && strings.HasPrefix(*value, "/run/secrets/")
		switch {
		case isFile && !mounted[*value]:
			found = append(found, fmt.Sprintf("%s: %s is not mounted", name, *value))
		case isFile:
			used[*value] = true
		case name == "SECKILL_ROCKETMQ_ACCESS_KEY": // the name of a user
		case secretName.MatchString(name) && name != "MYSQL_RANDOM_ROOT_PASSWORD":
			found = append(found, name+" is written into the file")
		}
	}
	for path := range mounted {
		if !used[path] && !slices.Contains(svc.Command, path) && !strings.Contains(strings.Join(svc.HealthCheck.Test, " "), path) {
			found = append(found, path+" is mounted and not used")
		}
	}
	return found
}

// checkMounts: files that are mounted from the repository exist.
func (s system) checkMounts(svc types.ServiceConfig) (found []string) {
	for _, v := range svc.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if _, err := os.Stat(v.Source); err != nil {
			found = append(found, err.Error())
		}
		if !v.ReadOnly {
			found = append(found, v.Source+" is mounted to be written")
		}
	}
	return found
}

func (s system) checkPorts(svc types.ServiceConfig) (found []string) {
	for _, p := range svc.Ports {
		if p.HostIP != "127.0.0.1" {
			found = append(found, fmt.Sprintf("port %s is open to everybody", p.Published))
		}
	}
	return found
}

func (s system) checkLimits(svc types.ServiceConfig) []string {
	if job(svc) && !ours(svc) {
		return nil
	}
	if d := svc.Deploy; d == nil || d.Resources.Limits == nil || d.Resources.Limits.MemoryBytes == 0 || d.Resources.Limits.NanoCPUs == 0 {
		return []string{"may take the whole machine"}
	}
	return nil
}

// checkListeners: neither the API's port, which is for nginx, nor the admin port is
// published.
func (s system) checkListeners(svc types.ServiceConfig, c config.Config) (found []string) {
	if c.AdminListen != "0.0.0.0:8081" {
		found = append(found, "health and metrics listen on "+c.AdminListen)
	}
	if len(svc.Ports) > 0 {
		found = append(found, fmt.Sprintf("is reachable beside nginx: %v", svc.Ports))
	}
	return found
}

// checkStop: docker waits longer than the program drains.
func (s system) checkStop(svc types.ServiceConfig, c config.Config) []string {
	drain := map[string]time.Duration{"api": c.API.StopDelay + c.API.DrainTimeout, "consumer": c.Consumer.DrainTimeout}[svc.Command[0]]
	if drain == 0 {
		return nil
	}
	if svc.StopGracePeriod == nil || time.Duration(*svc.StopGracePeriod) < drain+10*time.Second {
		return []string{fmt.Sprintf("drains for %s and is killed after %v", drain, svc.StopGracePeriod)}
	}
	return nil
}

// checkHardening: a service writes where it must alone, and may do nothing that needs
// a capability.
func (s system) checkHardening(svc types.ServiceConfig) (found []string) {
	adds := slices.ContainsFunc(svc.CapAdd, func(c string) bool { return !job(svc) || c != "CHOWN" })
	if svc.Privileged || !svc.ReadOnly || !slices.Contains(svc.CapDrop, "ALL") || !slices.Contains(svc.SecurityOpt, "no-new-privileges:true") || adds {
		found = append(found, "may do more than it needs")
	}
	return found
}

// checkObservers: who takes over a dashboard reaches no server that has orders.
func (s system) checkObservers() (found []string) {
	for _, observer := range []string{"prometheus", "grafana", "jaeger"} {
		for _, server := range []string{"redis", "mysql", "namesrv", "broker", "nginx"} {
			if s.shareNetwork(s.Services[observer], s.Services[server]) {
				found = append(found, observer+": reaches "+server)
			}
		}
	}
	return found
}
