"""English sentences of the machine, the judge and the log as patterns, with what they are in Chinese.

The first pattern that fits the whole sentence counts. Groups named `rest…` are translated in turn, `span…` are
durations, `name…` stand as they are.
"""

from __future__ import annotations

from typing import Final

_N = r"[\d,]+"
_P = r"[\d.,]+ %"
_STEP = r"step (?P<step>\d+)(?: of (?P<steps>\d+))?"
_WHEN = r"(?:since (?P<since>[\d:]+) UTC )?"

PATTERNS: Final[tuple[tuple[str, str], ...]] = (
    # What the judge finds: analysis/wording.py and analysis/judge.py.
    ("all gates are healthy", "所有门禁健康"),
    (
        rf"{_WHEN}the canary, which has all traffic, fails (?P<p>{_P}) of (?P<n>{_N}) requests",
        "承接全部流量的金丝雀 {n} 次请求中失败 {p}",
    ),
    (
        rf"{_WHEN}the canary fails (?P<p>{_P}) of (?P<n>{_N}) requests, and stable served nothing to compare with",
        "金丝雀 {n} 次请求中失败 {p}，稳定版没有可比较的请求",
    ),
    (
        (
            rf"since (?P<since>[\d:]+) UTC the canary fails (?P<p>{_P}) of (?P<n>{_N}) requests, stable (?P<q>{_P}) of "
            rf"(?P<m>{_N})"
        ),
        "自 {since} UTC 起，金丝雀 {n} 次请求中失败 {p}，稳定版 {m} 次中失败 {q}",
    ),
    (
        rf"the canary fails (?P<p>{_P}) of (?P<n>{_N}) requests, stable (?P<q>{_P}) of (?P<m>{_N})",
        "金丝雀 {n} 次请求中失败 {p}，稳定版 {m} 次中失败 {q}",
    ),
    (rf"the canary fails (?P<p>{_P}) of (?P<n>{_N}) requests", "金丝雀 {n} 次请求中失败 {p}"),
    (
        rf"the canary has served nothing yet, stable fails (?P<p>{_P}) of (?P<n>{_N}) requests",
        "金丝雀尚未响应请求，稳定版 {n} 次请求中失败 {p}",
    ),
    (
        rf"the canary has served (?P<n>{_N}) requests that are judged, stable (?P<m>{_N})",
        "计入判定的请求：金丝雀 {n} 次，稳定版 {m} 次",
    ),
    (
        (
            rf"{_WHEN}of the canary (?P<p>{_P}) of (?P<n>{_N}) requests take longer than (?P<span>[\d.,]+ m?s)"
            r"(?:, and stable served nothing to compare with)?"
        ),
        "金丝雀 {n} 次请求中有 {p} 耗时超过 {span}",
    ),
    (
        rf"if it were as slow as allowed, (?P<p>{_P}) would, by (?P<n>{_N}) of stable",
        "若恰好慢到允许的上限，按稳定版 {n} 次请求推算应为 {p}",
    ),
    (
        (
            rf"emergency: (?P<p>{_P}) of (?P<n>{_N}) requests failed in (?P<span>{_N} s), from (?P<q>{_P}) on "
            "the canary is taken back"
        ),
        "紧急情况：{span}内 {n} 次请求中失败 {p}，达到 {q} 即回滚",
    ),
    (
        (
            r"allowed is a (?P<q>p[\d.]+) at most (?P<p>[\d.,]+ %) above stable's"
            r"(?: \(with these buckets, in effect (?P<low>[\d.,]+ %) to (?P<high>[\d.,]+ %)\))?"
        ),
        "允许 {q} 最多比稳定版高 {p}",
    ),
    (rf"allowed is at most (?P<p>{_P}) above stable's", "允许最多比稳定版高 {p}"),
    (
        rf"allowed is at most (?P<p>{_P}) and at most (?P<r>[\d.]+) times stable's rate",
        "允许最多 {p}，且最多为稳定版的 {r} 倍",
    ),
    (
        rf"(?P<rest>allowed is .*), and above (?P<p>{_P}) at most (?P<r>[\d.]+) times stable's rate",
        "{rest}，超过 {p} 时最多为稳定版的 {r} 倍",
    ),
    (r"allowed is at most (?P<r>[\d.]+) times stable's rate", "允许最多为稳定版的 {r} 倍"),
    (r"allowed is at most (?P<p>[\d.,]+(?: %)?)", "允许最多 {p}"),
    (r"allowed is at least (?P<p>[\d.,]+)", "允许最少 {p}"),
    (
        rf"a canary no worse than (?P<rest>allowed|stable) would look this bad at most once in (?P<n>{_N}) rollouts",
        "不比{rest}差的金丝雀，{n} 次发布中最多 1 次会碰巧如此",
    ),
    (
        rf"a canary no worse than (?P<rest>allowed|stable) would look this bad less than once in (?P<n>{_N}) rollouts",
        "不比{rest}差的金丝雀，{n} 次发布中不到 1 次会碰巧如此",
    ),
    ("allowed", "允许值"),
    ("stable", "稳定版"),
    ("canary", "金丝雀"),
    (
        rf"stable is failing too, (?P<p>{_P}) of (?P<n>{_N}): the cause may be shared",
        "稳定版同样在失败（{n} 次中 {p}）：原因可能是共同的",
    ),
    (
        rf"stable fails (?P<p>{_P}) of (?P<n>{_N}), which is not yet shown to be better",
        "稳定版 {n} 次中失败 {p}，尚不能证明它更好",
    ),
    ("stable has no requests to compare with", "稳定版没有可比较的请求"),
    ("the gate only holds the rollout(?: for that)?", "该门禁只暂缓发布"),
    ("the canary has no traffic yet(?:, and the query no value)?", "金丝雀尚无流量"),
    ("the canary has no series that the selectors name yet", "尚无符合选择器的金丝雀序列"),
    (
        "stable has no series that the selectors name: the canary cannot be compared",
        "没有符合选择器的稳定版序列，无法比较",
    ),
    ("stable served no requests at this step that the canary could be compared with", "本步稳定版没有可比较的请求"),
    (rf"only (?P<n>{_N}) of (?P<m>{_N}) requests at this step so far", "本步目前只有 {n} 次请求，需要 {m} 次"),
    (
        r"the canary warms up until (?P<at>[\d:]+ UTC) and is judged only for catastrophes till then",
        "金丝雀预热到 {at}，在此之前只判定严重故障",
    ),
    (
        rf"failures exceed total in (?P<n>{_N}) of (?P<m>{_N}) blocks: check the selectors",
        "{m} 个区间中有 {n} 个失败数超过总数：请检查选择器",
    ),
    ("the metrics cannot be had: (?P<rest>.*)", "无法取得指标：{rest}"),
    (rf"the newest sample of (?P<rest>canary|stable) is (?P<span>{_N} s) old", "{rest}的最新样本已有 {span}"),
    (
        (
            rf"the newest sample of (?P<rest>canary|stable) is (?P<span>{_N} s) in the future: the clocks "
            "of the machines differ"
        ),
        "{rest}的最新样本在未来 {span}：各机器时钟不一致",
    ),
    (
        rf"the canary has had traffic for (?P<span>{_N} s) and no series that the selectors name",
        "金丝雀已承接流量 {span}，却没有符合选择器的序列",
    ),
    ("not measured: neither version has such a series", "未测量：两个版本都没有此序列"),
    ("not judged: (?P<rest>.*)", "未判定：{rest}"),
    (
        "the canary has all traffic, so there is nothing new to compare it with",
        "金丝雀承接全部流量，已无可比较对象",
    ),
    ("before, (?P<rest>.*)", "此前{rest}"),
    # Gates over a query: analysis/queries.py.
    (r"the canary has (?P<n>[\d.,+-]+), stable (?P<m>[\d.,+-]+)", "金丝雀为 {n}，稳定版为 {m}"),
    (r"the canary has (?P<n>[\d.,+-]+)", "金丝雀为 {n}"),
    (
        r"(?P<n>\d+) values in a row break it \(a plain limit, outside the promise of false_rollback\)",
        "连续 {n} 个值越限（固定上限，不在 false_rollback 的承诺之内）",
    ),
    (r"(?P<n>\d+) of the last (?P<m>\d+) values break it", "最近 {m} 个值中有 {n} 个越限"),
    ("the query gives no value for the canary", "查询没有给出金丝雀的值"),
    ("the query gives NaN", "查询结果为 NaN"),
    ("stable has no value to compare with", "稳定版没有可比较的值"),
    # Instances: core/instances.py.
    (r"(?P<r>\d+) of (?P<w>\d+) ready, and none has restarted", "{w} 个中 {r} 个就绪，没有重启"),
    (
        r"(?P<r>\d+) of (?P<w>\d+) ready(?: for (?P<span>[\w ]+))?(?:, and (?P<span2>[\w ]+) is borne)?",
        "{w} 个实例中 {r} 个就绪 {span}",
    ),
    (
        r"restarted (?P<rest>once|twice|\d+ times), and (?P<rest2>none|\d+) (?:is|are) borne",
        "已重启{rest}（容许 {rest2} 次）",
    ),
    ("once", " 1 次"),
    ("twice", " 2 次"),
    (r"(?P<n>\d+) times", " {n} 次"),
    ("none", "0"),
    # The machine: core/machine.py.
    ("ordered by (?P<name>.*) after the promotion", "由 {name} 在全量发布后下令"),
    ("ordered by (?P<name>.*)", "由 {name} 下令"),
    ("by (?P<name>.*)", "由 {name} 下令"),
    ("because (?P<rest>.*)", "因为{rest}"),
    (r"(?P<n>\d+) of (?P<m>\d+) checks failed: (?P<rest>.*)", "{m} 项检查中 {n} 项未通过：{rest}"),
    (r"(?P<rest>no metrics for .*): (?P<rest2>.*)", "{rest}：{rest2}"),
    (r"no metrics for (?P<span>\d+ s) with users on the canary", "用户使用金丝雀期间 {span}没有指标"),
    ("the canary was started and no longer runs: (?P<name>.*)", "金丝雀启动后已不再运行：{name}"),
    ("the canary was started and no longer runs", "金丝雀启动后已不再运行"),
    ("the canary is gone", "金丝雀已不存在"),
    ("the canary died before it was promoted", "金丝雀在全量发布前退出"),
    ("the canary is not ready: (?P<rest>.*)", "金丝雀未就绪：{rest}"),
    ("the canary runs (?P<name>[^ ]+), and the release is (?P<name2>[^ ]+)", "金丝雀运行的是 {name}，而版本是 {name2}"),
    (r"the gateway serves (?P<p>[\d.]+ %) where (?P<q>[\d.]+ %) was ordered", "网关实际提供 {p}，而要求的是 {q}"),
    (r"traffic cannot be moved to (?P<p>[\d.]+ %): (?P<rest>.*)", "流量无法切到 {p}：{rest}"),
    ("the canary cannot be promoted: (?P<rest>.*)", "无法全量发布金丝雀：{rest}"),
    ("no healthy verdict (?P<name>.*?) after the soak: (?P<rest>.*)", "观察结束 {name} 后仍无健康结论：{rest}"),
    ("nobody looked at the metrics", "没有人查看过指标"),
    # Causes: report/words.py.
    ("the canary is unhealthy: (?P<rest>.*)", "金丝雀不健康：{rest}"),
    ("monitoring stayed away: (?P<rest>.*)", "监控持续中断：{rest}"),
    ("the canary could not be deployed: (?P<rest>.*)", "金丝雀部署失败：{rest}"),
    ("the canary died: (?P<rest>.*)", "金丝雀已退出：{rest}"),
    ("the canary runs another image: (?P<rest>.*)", "金丝雀运行的是另一个镜像：{rest}"),
    ("the canary restarts again and again: (?P<rest>.*)", "金丝雀反复重启：{rest}"),
    ("the canary is unhealthy", "金丝雀不健康"),
    ("monitoring stayed away", "监控持续中断"),
    ("the canary could not be deployed", "金丝雀部署失败"),
    ("the canary died", "金丝雀已退出"),
    ("the canary runs another image", "金丝雀运行的是另一个镜像"),
    ("the canary restarts again and again", "金丝雀反复重启"),
    ("the canary is not ready", "金丝雀未就绪"),
    ("the checks failed", "检查未通过"),
    ("a person ordered it", "人工下令"),
    ("no cause was written down", "没有记录原因"),
    (r"(?P<name>.+?) against (?P<rest>canary|stable) \((?P<name2>.*)\)", "{name}（{rest}）：{name2}"),
    (r"(?P<name>.+?) against (?P<rest>canary|stable): (?P<name2>.*)", "{name}（{rest}）：{name2}"),
    # The log: report/lines.py.
    (
        (
            r"rollout (?P<name>[^ ]+) starts: (?P<name2>.+?) of (?P<name3>.+?) in (?P<name4>.+?), "
            r"to replace (?P<name5>[^ ]+)"
            r"; (?P<n>\d+) steps?, (?P<m>\d+) gates?, (?P<span>[\w ]+) of soak"
        ),
        "发布 {name} 开始：{name3} 的 {name2} 进入 {name4}，取代 {name5}；{n} 步，{m} 个门禁，共观察 {span}",
    ),
    (
        (
            r"rollout (?P<name>[^ ]+) starts: (?P<name2>.+?) of (?P<name3>.+?) in (?P<name4>.+?), its first release"
            r"; (?P<n>\d+) steps?, (?P<m>\d+) gates?, (?P<span>[\w ]+) of soak"
        ),
        "发布 {name} 开始：{name3} 的首个版本 {name2} 进入 {name4}；{n} 步，{m} 个门禁，共观察 {span}",
    ),
    ("rolls back: (?P<rest>.*)", "回滚：{rest}"),
    (
        r"could not (?P<rest>[a-z ]+|move the canary to [\d.]+ %); it is tried again: (?P<rest2>.*)",
        "未能{rest}，将重试：{rest2}",
    ),
    (
        r"could not (?P<rest>[a-z ]+|move the canary to [\d.]+ %); another try is useless: (?P<rest2>.*)",
        "未能{rest}，重试无用：{rest2}",
    ),
    ("is going to (?P<rest>.*)", "即将{rest}"),
    (rf"{_STEP}: the gateway accepted (?P<p>[\d.]+ %) for the canary", "第 {step} 步：网关已接受 {p}"),
    ("deploy the canary", "部署金丝雀"),
    ("run the checks", "执行检查"),
    (r"move the canary to (?P<p>[\d.]+ %)", "把金丝雀切到 {p}"),
    ("promote the canary", "全量发布金丝雀"),
    ("roll back", "回滚"),
    ("stop the version that gets no requests", "停止不再接收请求的版本"),
    ("remove the former release", "移除旧版本"),
    ("the canary runs and is ready; it gets no traffic yet", "金丝雀已运行并就绪，尚无流量"),
    ("no checks are configured", "没有配置检查"),
    (r"✓ (?P<n>\d+) checks? passed", "✓ {n} 项检查通过"),
    (r"✗ (?P<n>\d+) of (?P<m>\d+) checks? failed: (?P<rest>.*)", "✗ {m} 项检查中 {n} 项未通过：{rest}"),
    (
        rf"{_STEP}: the gateway serves (?P<p>[\d.]+ %); it soaks for (?P<span>[\w ]+)",
        "第 {step} 步：网关已提供 {p}，观察 {span}",
    ),
    (rf"{_STEP}: the gateway serves (?P<p>[\d.]+ %); its soak begins", "第 {step} 步：网关已提供 {p}，开始观察"),
    (
        r"drift: the gateway serves (?P<p>[\d.]+ %) where (?P<q>[\d.]+ %) was ordered",
        "偏移：网关实际提供 {p}，而要求的是 {q}",
    ),
    (rf"{_STEP}: (?P<rest>[✓✗~?] \w+): (?P<rest2>.*)", "第 {step} 步：{rest}：{rest2}"),
    ("✓ healthy", "✓ 健康"),
    ("✗ unhealthy", "✗ 不健康"),
    ("~ inconclusive", "~ 尚无定论"),
    (r"\? blind", "? 无数据"),
    ("nothing was said about it", "没有说明"),
    ("only observed: (?P<rest>.*)", "仅观察：{rest}"),
    (r"(?P<name>.{1,80}) is (?P<rest>healthy|unhealthy|inconclusive|blind): (?P<rest2>.*)", "{name} {rest}：{rest2}"),
    ("healthy", "健康"),
    ("unhealthy", "不健康"),
    ("inconclusive", "尚无定论"),
    ("blind", "无数据"),
    (
        r"the canary's instances: (?P<r>\d+) of (?P<w>\d+) ready, (?P<n>\d+) restarts? so far",
        "金丝雀实例：{w} 个中 {r} 个就绪，目前重启 {n} 次",
    ),
    (
        rf"{_STEP}: (?P<name>.*) orders the promotion without the remaining steps",
        "第 {step} 步：{name} 下令跳过剩余步骤直接全量发布",
    ),
    (rf"{_STEP}: (?P<name>.*) approves", "第 {step} 步：{name} 批准"),
    (rf"{_STEP}: (?P<name>.*) pauses the rollout", "第 {step} 步：{name} 暂停发布"),
    (rf"{_STEP}: (?P<name>.*) resumes the rollout", "第 {step} 步：{name} 恢复发布"),
    (rf"{_STEP}: (?P<name>.*) aborts the rollout", "第 {step} 步：{name} 中止发布"),
    (r"refused the order of (?P<name>.*?) to (?P<name2>\w+): (?P<rest>.*)", "拒绝 {name} 的命令 {name2}：{rest}"),
    ("paused (?P<rest>.*); a person is needed: `rollout resume` or `rollout abort`", "已暂停，{rest}；需要人工处理"),
    ("promoted: the canary is the stable release now", "全量发布完成：金丝雀已成为稳定版"),
    ("rolled back: the gateway serves the stable release and nothing else", "已回滚：网关只提供稳定版"),
    ("the version that gets no requests is stopped", "不再接收请求的版本已停止"),
    ("the former release is removed; it is no longer a way back", "旧版本已移除，不能再切回"),
    (
        r"interrupted by (?P<name>\w+); this says nothing about the release, and the next tick goes on",
        "被 {name} 中断；这与版本好坏无关，下一次会接着进行",
    ),
    # Refusals: core/commands.py.
    ("no rollout has been started", "没有开始任何发布"),
    (
        r"the order is for rollout (?P<name>[^ ]+), and this is (?P<name2>[^ ]+)",
        "命令针对发布 {name}，而现在是 {name2}",
    ),
    (
        r"the order was given for step (?P<n>\d+), and the rollout is at step (?P<m>\d+)",
        "命令针对第 {n} 步，而发布已在第 {m} 步",
    ),
    (r"rollout (?P<name>[^ ]+) is over: it went back to stable", "发布 {name} 已结束：已切回稳定版"),
    (r"rollout (?P<name>[^ ]+) is over: (?P<name2>[^ ]+) is stable", "发布 {name} 已结束：{name2} 是稳定版"),
    ("the rollout is going back to stable already", "发布已在切回稳定版"),
    ("there is no former release in reserve to go back to", "没有可切回的备用版本"),
    ("the rollout is being aborted already", "发布已在中止"),
    ("the canary is being promoted", "金丝雀正在全量发布"),
    ("the rollout is paused already, (?P<rest>.*)", "发布已暂停，{rest}"),
    ("the rollout is not paused", "发布没有暂停"),
    (r"step (?P<n>\d+) \((?P<p>[\d.]+ %)\) needs no approval", "第 {n} 步（{p}）不需要批准"),
    (r"step (?P<n>\d+) is approved already", "第 {n} 步已批准"),
    ("the canary is not deployed and checked yet", "金丝雀尚未部署并检查"),
    # Figures: report/measures.py.
    (rf"(?P<p>{_P}) of (?P<n>{_N})", "{n} 次中 {p}"),
    ("no requests", "无请求"),
    ("not measured", "未测量"),
    ("no value", "无值"),
    (r"max (?P<p>[\d.]+ %), (?P<r>[\d.]+) × stable", "最多 {p}，稳定版 × {r}"),
    (r"max (?P<p>[\d.,]+(?: %)?)", "最多 {p}"),
    (r"min (?P<p>[\d.,]+)", "最少 {p}"),
    (r"(?P<r>[\d.]+) × stable", "稳定版 × {r}"),
    (rf"stable \+ (?P<p>{_P})", "稳定版 + {p}"),
    (rf"(?P<q>p[\d.]+) \+ (?P<p>{_P})", "{q} + {p}"),
)
