/*-------------------------------------------------------------------------
 *
 * cpus.c
 *	  How many processors this process may use.
 *
 * A container is granted processor time as a quota in each period: 200 ms in 100 ms are two
 * processors.  The kernel enforces the smallest quota from the process's control group up to the
 * root, so all of them are looked at.  What cannot be read grants everything.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/cpus.h"

#ifdef __linux__
#include <sched.h>
#endif
#include <unistd.h>

#include "storage/fd.h"

#define CGROUP_MOUNT	"/sys/fs/cgroup"

/* Read the first line of a file.  Returns false if there is none. */
static bool
cpus_read_line(const char *path, char *line, int size)
{
	FILE	   *file = AllocateFile(path, "r");
	bool		found;

	if (file == NULL)
		return false;
	found = fgets(line, size, file) != NULL;
	FreeFile(file);
	return found;
}

/*
 * Return the quota of one group in processors; 0 if it has none.  Version 2 has "<quota> <period>" in
 * one file, and "max" for no quota; version 1 has two files, and -1.
 */
static double
cpus_quota(const char *directory, bool version_1)
{
	char		path[MAXPGPATH];
	char		line[64];
	double		quota = 0;
	double		period = 0;

	if (!version_1)
	{
		snprintf(path, sizeof(path), "%s/cpu.max", directory);
		if (!cpus_read_line(path, line, sizeof(line)) || sscanf(line, "%lf %lf", &quota, &period) != 2)
			return 0;
	}
	else
	{
		snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", directory);
		if (!cpus_read_line(path, line, sizeof(line)) || sscanf(line, "%lf", &quota) != 1)
			return 0;
		snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", directory);
		if (!cpus_read_line(path, line, sizeof(line)) || sscanf(line, "%lf", &period) != 1)
			return 0;
	}
	return quota > 0 && period > 0 ? quota / period : 0;
}

/* Return the smallest quota from a group, given as a path below the mount point, up to the root. */
static double
cpus_smallest_quota(const char *mount, const char *group, bool version_1)
{
	char		directory[MAXPGPATH];
	double		smallest = 0;
	int			mount_length = strlen(mount);

	snprintf(directory, sizeof(directory), "%s%s", mount, group);
	for (;;)
	{
		double		quota = cpus_quota(directory, version_1);
		char	   *slash = strrchr(directory, '/');

		if (quota > 0 && (smallest == 0 || quota < smallest))
			smallest = quota;
		if (slash == NULL || slash < directory + mount_length)
			return smallest;
		*slash = '\0';
	}
}

/*
 * Return the quota that the process's control groups leave it; 0 if there is none.  A line of
 * /proc/self/cgroup is "<number>:<controllers>:<group>"; version 2 has no controllers there.
 */
static double
cpus_cgroup_quota(void)
{
	FILE	   *file = AllocateFile("/proc/self/cgroup", "r");
	char		line[MAXPGPATH];
	double		smallest = 0;

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
	{
		char	   *controllers = strchr(line, ':');
		char	   *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
		double		quota = 0;

		if (group == NULL)
			continue;
		*group++ = '\0';
		controllers++;
		group[strcspn(group, "\n")] = '\0';
		if (controllers[0] == '\0')
			quota = cpus_smallest_quota(CGROUP_MOUNT, group, false);
		else if (strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0 ||
				 strstr(controllers, ",cpu") != NULL)
			quota = cpus_smallest_quota(CGROUP_MOUNT "/cpu", group, true);
		if (quota > 0 && (smallest == 0 || quota < smallest))
			smallest = quota;
	}
	FreeFile(file);
	return smallest;
}

int
cpus_available(void)
{
	int			cpus = (int) sysconf(_SC_NPROCESSORS_ONLN);
	double		quota = cpus_cgroup_quota();
#ifdef __linux__
	cpu_set_t	allowed;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
		cpus = Min(cpus, CPU_COUNT(&allowed));
#endif
	if (quota > 0 && quota < cpus)
		cpus = (int) quota;
	return Max(1, cpus);
}
